/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/map.h"

/* Deaths in maps: what the sweeper makes of a piece that was running in the dead one's lane. */

/* Whether the half that was being split off has become a record of its own. */
static bool split_committed(struct pool *pool, uint64_t split)
{
    uint64_t state = atomic_load(&pool_record(pool, (uint32_t)split)->state);
    return state >> 32 != split >> 32 || state_phase(state) >= RECORD_QUEUED;
}

static void count_items(const struct death *death, struct map *map, int64_t items)
{
    map_count_for(death->seat.pool, map, death->seat.lane->index, items);
}

static void item_died(const struct death *death, struct map *map, int64_t item)
{
    struct muster_task_error error;
    recover_error(death, &error, map->first + item, map->function);
    map_note_error(map, death->seat.lane, &error);
    atomic_fetch_add(&map->failed, 1);
    if (map->stop_at_failure)
        atomic_store(&map->stopped, 1);
}

/* All items were run: counted already (the cell has the total), or still to be counted. */
static void piece_was_over(const struct death *death, struct map *map, struct piece *piece)
{
    _Atomic int64_t *done = &map->cell[death->seat.lane->index].done;
    if (piece->total < 0)
        count_items(death, map, piece->end - piece->begin);
    else
        count_items(death, map, piece->total - atomic_load(done));
}

void piece_died(const struct death *death, struct record *record, uint32_t index)
{
    struct pool *pool = death->seat.pool;
    struct piece *piece = piece_of(record);
    struct map *map = muster__heap_at(piece->map);
    uint64_t split = atomic_load(&piece->split);
    if (!map) { /* counted, and freed by its caller */
        record_free(pool, record, index, NULL);
        return;
    }
    if (split && split_committed(pool, split))
        piece->end = piece->total;
    atomic_store(&piece->split, 0);

    int64_t current = atomic_load(&piece->current);
    if (current >= piece->end) {
        piece_was_over(death, map, piece);
        record_free(pool, record, index, NULL);
        return;
    }
    int64_t counted = 0, next = piece->begin;
    if (current >= piece->begin) {
        bool again = piece->retries > 0 && !death->limit;
        if (map->listed)
            list_clear(map, current);
        map_note_state(map, current, again ? MUSTER_ITEM_OPEN : MUSTER_ITEM_FAILED);
        if (again)
            piece->retries--;
        else
            item_died(death, map, current);
        next = again ? current : current + 1;
        counted = next - piece->begin;
    }
    piece->begin = next;
    piece->total = -1;
    atomic_store(&piece->current, next - 1);
    bool rest = next < piece->end;
    if (rest)
        recover_queue_again(death, record, index);
    else
        record_free(pool, record, index, NULL);
    count_items(death, map, counted);
}
