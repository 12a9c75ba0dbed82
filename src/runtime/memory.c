/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/memory.h"

#include "runtime/state.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT = 64 << 10 };
#define LOOK_NS   INT64_C(5000000)
#define LINGER_NS INT64_C(1000000000)  /* a nursery goes on looking while tasks with limits come and go */
#define AGE_NS    INT64_C(10000000000) /* so long the kernel may take to end one that it has counted */

MUSTER__THREAD_LOCAL struct muster__memory muster__memory;

/* False: it is not there, or is larger. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t have = 0;
    ssize_t got;
    while ((got = read(fd, text + have, size - 1 - have)) > 0)
        have += (size_t)got;
    close(fd);
    text[have] = '\0';
    return have < size - 1;
}

/* Pages in use less those that have a file or are shared; 0: unknown. */
static uint64_t own_bytes(const char *path)
{
    char text[128];
    unsigned long long resident, shared;
    if (!read_text(path, text, sizeof text) || sscanf(text, "%*u %llu %llu", &resident, &shared) != 2)
        return 0;
    return resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* ---- in a child ---- */

/*
 * The member's `memory_turn` is odd while there is a limit. A nursery that finds the child over it marks the turn
 * before it kills, and the child ends the turn by the same word: so it is this turn's task that dies, not the next one.
 */
static void end_turn(struct member *member)
{
    uint64_t turn = atomic_load(&member->memory_turn);
    if (!(turn & MEMORY_WATCHED))
        return;
    if (!(turn & MEMORY_OVER) && atomic_compare_exchange_strong(&member->memory_turn, &turn, turn + MEMORY_WATCHED))
        return;
    for (;;)
        pause();
}

void muster__memory_watch(struct muster__memory memory)
{
    struct member *member = member_at(muster__me.member);
    end_turn(member);
    muster__memory = memory;
    if (!memory.limit)
        return;
    atomic_store(&member->memory_limit, memory.limit);
    atomic_store(&member->memory_base, memory.base);
    atomic_fetch_add(&member->memory_turn, MEMORY_WATCHED);
    if (!atomic_load(&nursery_at(member->nursery)->memory_looks))
        member_ring_nursery(member->nursery);
}

void muster__memory_begin(uint64_t limit)
{
    if (limit)
        muster__memory_watch((struct muster__memory){limit, own_bytes("/proc/self/statm")});
    else
        muster__memory_back((struct muster__memory){0});
}

/* ---- in its nursery ---- */

bool memory_look(struct member *member, int32_t pid)
{
    char path[32];
    uint64_t turn = atomic_load(&member->memory_turn);
    if (!(turn & MEMORY_WATCHED) || turn & MEMORY_OVER)
        return turn & MEMORY_WATCHED;
    uint64_t limit = atomic_load(&member->memory_limit), base = atomic_load(&member->memory_base);
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    uint64_t bytes = own_bytes(path);
    if (bytes <= base || bytes - base <= limit)
        return true;
    if (!atomic_compare_exchange_strong(&member->memory_turn, &turn, turn | MEMORY_OVER))
        return true; /* that task has ended */
    member->memory_bytes = bytes - base;
    atomic_store(&member->wanted, 1);
    kill(pid, SIGKILL);
    return true;
}

/* A child that begins a turn either sees that the nursery looks, or is seen by its last look. */
int64_t memory_next(bool watched)
{
    static int64_t until;
    struct nursery *nursery = nursery_at((int)(muster__me.member - NURSERY_MEMBER));
    int64_t now = muster__now_ns();
    if (watched) {
        until = now + LINGER_NS;
        atomic_store(&nursery->memory_looks, 1);
    } else if (now < until) {
        return now + LOOK_NS;
    } else if (atomic_exchange(&nursery->memory_looks, 0)) {
        return now; /* once more */
    }
    return watched ? now + LOOK_NS : MUSTER__NEVER;
}

/* ---- the kernel's killer ---- */

static struct {
    char path[1200];
    const char *word; /* NULL: not looked for yet */
    int64_t aged_ns;
    uint64_t counted; /* then */
} killer;

static bool count_in(uint64_t *count)
{
    char text[TEXT / 4];
    if (!killer.word || !read_text(killer.path, text, sizeof text))
        return false;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, killer.word, strlen(killer.word))) {
            *count = strtoull(line + strlen(killer.word), NULL, 10);
            return true;
        }
    }
    return false;
}

/* In the root of the second version there is no such file; there, and without cgroups, the machine's counter is. */
static void find_killer(uint64_t *count)
{
    char *texts = malloc(2 * (size_t)TEXT);
    if (texts && read_text("/proc/self/cgroup", texts, TEXT) && read_text("/proc/self/mountinfo", texts + TEXT, TEXT))
        killer.word = memory_events_file(texts, texts + TEXT, killer.path, sizeof killer.path);
    free(texts);
    if (count_in(count))
        return;
    killer.word = "oom_kill ";
    snprintf(killer.path, sizeof killer.path, "/proc/vmstat");
    if (!count_in(count))
        killer.path[0] = '\0';
}

/* Nurseries that look at the same file tell each other whom they took for its news: the first one keeps that. */
static _Atomic uint64_t *told_by_all(void)
{
    uint64_t key = atomic_load(&nursery_at((int)(muster__me.member - NURSERY_MEMBER))->killer_file);
    for (int i = 0; i < muster__me.tables->locals; i++)
        if (atomic_load(&nursery_at(i)->killer_file) == key)
            return &nursery_at(i)->killer_told;
    return &nursery_at(0)->killer_told;
}

/* Raises it: never back. */
static void raise_told(_Atomic uint64_t *told, uint64_t to)
{
    uint64_t seen = atomic_load(told);
    while (seen < to && !atomic_compare_exchange_weak(told, &seen, to))
        ;
}

void memory_age(void)
{
    int64_t now = muster__now_ns();
    uint64_t count;
    if (killer.word && (now < killer.aged_ns + AGE_NS || !count_in(&count)))
        return;
    if (killer.word) {
        raise_told(told_by_all(), killer.counted);
    } else {
        struct nursery *nursery = nursery_at((int)(muster__me.member - NURSERY_MEMBER));
        struct stat file;
        count = 0;
        find_killer(&count);
        raise_told(&nursery->killer_told, count);
        atomic_store(&nursery->killer_file, stat(killer.path, &file) ? 1 : file.st_ino << 16 ^ file.st_dev);
    }
    killer.counted = count;
    killer.aged_ns = now;
}

bool memory_was_victim(void)
{
    uint64_t count;
    if (!count_in(&count))
        return false;
    _Atomic uint64_t *told = told_by_all();
    uint64_t seen = atomic_load(told);
    while (seen < count)
        if (atomic_compare_exchange_weak(told, &seen, seen + 1))
            return true;
    return false;
}
