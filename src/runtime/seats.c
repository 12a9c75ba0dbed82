/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

/* The places of a host that processes may have to themselves, and how many sit on each. */

int muster__member_distance(uint32_t a, uint32_t b)
{
    if (a >= MUSTER__MEMBERS_MAX || b >= MUSTER__MEMBERS_MAX)
        return 4;
    int seat_a = member_at(a)->seat, seat_b = member_at(b)->seat;
    return seat_a < 0 || seat_b < 0 ? 4 : muster__seat_distance(&seat_at(seat_a)->seat, &seat_at(seat_b)->seat);
}

static int choose_seat(uint32_t nearby, int32_t *seen)
{
    int count = muster__me.tables->seat_count, load[count > 0 ? count : 1];
    struct muster__seat seats[count > 0 ? count : 1];
    for (int i = 0; i < count; i++) {
        seats[i] = seat_at(i)->seat;
        load[i] = atomic_load(&seat_at(i)->load);
    }
    int chosen = muster__seat_choose(seats, count, load, nearby < MUSTER__MEMBERS_MAX ? member_at(nearby)->seat : -1);
    *seen = chosen < 0 ? 0 : load[chosen];
    return chosen;
}

int seat_guess(uint32_t nearby)
{
    int32_t load;
    int chosen = choose_seat(nearby, &load);
    return load == 0 ? chosen : -1;
}

/* Two that choose at once must not both take the last free seat: the choice holds if its load is still what it was. */
int seat_take(uint32_t nearby)
{
    int chosen;
    int32_t seen;
    do
        chosen = choose_seat(nearby, &seen);
    while (chosen >= 0 && !atomic_compare_exchange_strong(&seat_at(chosen)->load, &seen, seen + 1));
    return chosen;
}

void seat_give_back(int seat)
{
    if (seat >= 0)
        atomic_fetch_sub(&seat_at(seat)->load, 1);
}

int muster__seats_free(void)
{
    int count = muster__me.tables->seat_count, free = count;
    for (int i = 0; i < count; i++)
        free -= atomic_load_explicit(&seat_at(i)->load, memory_order_relaxed);
    return free;
}

void muster__rank_occupies(int local, int change)
{
    int seat = member_at((uint32_t)local)->seat;
    if (seat >= 0)
        atomic_fetch_add(&seat_at(seat)->load, change);
}
