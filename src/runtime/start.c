/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ARENA_MIN ((size_t)8 << 30)

/* ---- options ---- */

static muster_err check_arguments(int *argc, char ***argv, const muster_options *options)
{
    static const char operation[] = "muster_init";
    if (!argc != !argv || (argc && (*argc < 0 || (*argc > 0 && !*argv))))
        return muster__fail(MUSTER_ERR_INVAL, "%s: argc and argv: those of main, or NULL both", operation);
    if ((int)options->placement < MUSTER_PLACE_DEFAULT || options->placement > MUSTER_PLACE_NONE)
        return muster__fail(MUSTER_ERR_INVAL, "%s: options->placement is %d", operation, (int)options->placement);
    if ((int)options->log_level < MUSTER_LOG_DEFAULT || options->log_level > MUSTER_LOG_DEBUG)
        return muster__fail(MUSTER_ERR_INVAL, "%s: options->log_level is %d", operation, (int)options->log_level);
    if ((int)options->deadlock < MUSTER_DEADLOCK_DEFAULT || options->deadlock > MUSTER_DEADLOCK_EXIT)
        return muster__fail(MUSTER_ERR_INVAL, "%s: options->deadlock is %d", operation, (int)options->deadlock);
    if (options->deadlock_ms && (options->deadlock_ms < 100 || options->deadlock_ms > 3600000))
        return muster__fail(MUSTER_ERR_INVAL, "%s: options->deadlock_ms is %lld; 100 to 3600000 are allowed", operation,
                            (long long)options->deadlock_ms);
    muster_err err = MUSTER__SIZE_BAD(operation, options->segment_bytes);
    return err ? err : MUSTER__RESERVED(operation, options);
}

static int log_level(const muster_options *options)
{
    bool chosen = options->log_level != MUSTER_LOG_DEFAULT;
    return chosen ? (int)options->log_level : (int)muster__setting(MUSTER__SET_LOG);
}

/* Address space is cheap. */
static struct muster__room segment_room(const muster_options *options)
{
    size_t asked = options->segment_bytes;
    if (!asked)
        asked = (size_t)muster__setting(MUSTER__SET_SEGMENT_MIB) << 20;
    size_t bytes = asked ? asked : (size_t)sysconf(_SC_PHYS_PAGES) / 2 * (size_t)sysconf(_SC_PAGESIZE);
    return (struct muster__room){.wanted = bytes < MUSTER__SEGMENT_MIN ? MUSTER__SEGMENT_MIN : bytes & ~(size_t)4095,
                                 .least = MUSTER__SEGMENT_MIN,
                                 .asked = asked};
}

/* A heap for each NUMA node, where each can be big enough that dividing the segment hinders nobody. */
static int segment_arenas(size_t bytes, const struct muster__topology *topology)
{
    size_t room = bytes / ARENA_MIN;
    int nodes = muster__topology_nodes(topology);
    return room < 1 ? 1 : (size_t)nodes > room ? (int)room : nodes;
}

/* ---- the segment's tables ---- */

static uint64_t table(int root, size_t bytes)
{
    uint32_t self = muster__self_number();
    muster__ref ref = muster__heap_alloc(bytes, self);
    if (!ref)
        return 0;
    void *memory = muster__heap_at(ref);
    muster__heap_hand_over(ref, self, 0);
    if (root < MUSTER__ROOTS)
        muster__segment->roots[root] = muster__offset(memory);
    return muster__offset(memory);
}

/* The segment is fresh: its memory is zero, and the tables cost what is used of them. */
static bool make_tables(const struct muster__world *world, const muster_options *options, uint32_t job)
{
    struct tables *tables = muster__at(table(MUSTER__ROOT_RUNTIME, sizeof *tables));
    muster__me.tables = tables;
    struct utsname name;
    uname(&name);
    snprintf(tables->host_name, sizeof tables->host_name, "%.63s", name.nodename);
    tables->job = job;
    tables->host = world->host;
    tables->hosts = world->hosts;
    tables->ranks = world->ranks;
    tables->locals = world->locals;
    tables->spares = options->spare_children;
    atomic_store(&tables->members_high, (uint32_t)world->locals);
    tables->members_offset = table(MUSTER__ROOTS, MUSTER__MEMBERS_MAX * sizeof(struct member));
    tables->nurseries_offset = table(MUSTER__ROOTS, (size_t)world->locals * sizeof(struct nursery));
    tables->seats_offset = table(MUSTER__ROOT_SEATS, SEATS_MAX * sizeof(struct seat_state));
    tables->cpusets_offset = table(MUSTER__ROOTS, (size_t)world->locals * sizeof(struct muster__cpuset));
    tables->ranks_offset = table(MUSTER__ROOTS, (size_t)world->locals * sizeof(int32_t));
    if (!table(MUSTER__ROOT_MODULES, FUNCTIONS_TABLE_BYTES) || !tables->ranks_offset)
        return false;
    for (int i = 0; i < world->locals; i++) {
        *rank_at(i) = world->local_ranks[i];
        member_at((uint32_t)i)->seat = -1;
        member_at((uint32_t)i)->nursery = i;
        snprintf(member_at((uint32_t)i)->name, sizeof member_at(0)->name, "rank %d", world->local_ranks[i]);
    }
    return true;
}

/* The first one of its kind on host 0; see share/names.c. */
static muster_err make_names(const struct muster__world *world)
{
    struct muster__arg arg = {0};
    muster_handle names;
    if (world->host || world->local || !muster__class_of(MUSTER__DICT))
        return MUSTER_OK;
    return muster__object_make(MUSTER__DICT, "names", &arg, &names);
}

static uint32_t job_nonce(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t seed[3] = {now.tv_sec, now.tv_nsec, getpid()};
    return (uint32_t)muster__hash(seed, sizeof seed) | 1;
}

/* What local rank 0 came to, unless this rank has failed itself. */
static muster_err hear(const struct muster__world *world, muster_err err)
{
    muster_err told = err;
    muster__transport_host_tell(&told, sizeof told);
    return err || !told || !world->local ? err : muster__fail(told, "muster_init: the first rank of this host failed");
}

static muster_err make_segment(const struct muster__world *world, const muster_options *options,
                               const struct muster__topology *topology)
{
    uint32_t job = job_nonce();
    struct muster__room room = segment_room(options);
    size_t bytes;
    void *memory;
    muster__transport_job_tell(&job, sizeof job);
    muster_err err = muster__transport_share(&room, &bytes, &memory);
    if (err)
        return err;
    if (world->local == 0)
        err = muster__segment_format(memory, bytes, job, (uint32_t)world->host, segment_arenas(bytes, topology));
    err = hear(world, err);
    if (err)
        return err;
    muster__segment_attach(memory);
    muster__me.member = (uint32_t)world->local;
    err = muster__caller_enter(muster__me.member, world->rank == 0 || options->spmd);
    if (!err && world->local == 0 && !make_tables(world, options, job))
        err = muster__fail_logged(MUSTER_ERR_NOMEM, "the host segment is too small for %d rank%s", world->locals,
                                  muster__s(world->locals));
    if (!err)
        err = make_names(world);
    err = hear(world, err);
    if (!err)
        muster__me.tables = muster__at(muster__segment->roots[MUSTER__ROOT_RUNTIME]);
    return err;
}

/* ---- the same program everywhere ---- */

struct identity {
    uint64_t program, library; /* build ids */
    char version[16];
    char host[64], path[180];
};

static bool same_muster(const struct identity *a, const struct identity *b)
{
    return a->library == b->library && strcmp(a->version, b->version) == 0;
}

static void say_mixture(const struct identity *first, const struct identity *other, int rank)
{
    if (!same_muster(first, other))
        muster__log(MUSTER__ERROR,
                    "ranks run different versions of muster: rank 0 on %s has %s (build %08x), rank %d on %s has %s "
                    "(build %08x), for %s; install the same one on all hosts",
                    first->host, first->version, (unsigned)first->library, rank, other->host, other->version,
                    (unsigned)other->library, other->path);
    else
        muster__log(MUSTER__ERROR,
                    "ranks run different programs: rank 0 on %s runs %s (build %08x), rank %d on %s runs %s (build "
                    "%08x); build once and give all hosts the same file",
                    first->host, first->path, (unsigned)first->program, rank, other->host, other->path,
                    (unsigned)other->program);
}

static muster_err refuse_mixture(const struct muster__world *world, const struct identity *mine)
{
    struct identity *all = world->rank == 0 ? calloc((size_t)world->ranks, sizeof *all) : NULL;
    muster__transport_gather(mine, sizeof *mine, all);
    for (int i = 1; all && i < world->ranks; i++) {
        if (all[i].program == all[0].program && same_muster(&all[i], &all[0]))
            continue;
        say_mixture(&all[0], &all[i], i);
        break;
    }
    free(all);
    return muster__fail(MUSTER_ERR_BROKEN,
                        "ranks run different programs, or versions of muster; rank 0 has said which");
}

static muster_err check_same_program(const struct muster__world *world)
{
    struct identity mine = {
        .program = functions_build_id(), .library = functions_library_id(), .version = MUSTER_VERSION};
    struct utsname name;
    uname(&name);
    snprintf(mine.host, sizeof mine.host, "%.63s", name.nodename);
    ssize_t length = readlink("/proc/self/exe", mine.path, sizeof mine.path - 1);
    mine.path[length > 0 ? length : 0] = '\0';
    uint64_t both = mine.program ^ mine.library * 3 ^ muster__hash(mine.version, sizeof mine.version);
    return muster__transport_same(both) ? MUSTER_OK : refuse_mixture(world, &mine);
}

/* ---- start ---- */

static muster_err place(const struct muster__world *world, const muster_options *options,
                        struct muster__topology *topology)
{
    struct muster__cpuset *cpusets = muster__at(muster__me.tables->cpusets_offset);
    muster_err err = muster__cpuset_current(&cpusets[world->local]);
    nursery_at(world->local)->rank_caller = muster__self_number();
    atomic_store(&member_at((uint32_t)world->local)->pid, getpid());
    muster__transport_host_barrier();
    if (!err && world->local == 0)
        err = place_host(topology, options, cpusets);
    err = hear(world, err);
    if (err)
        return err;
    if (world->rank == 0 || options->spmd)
        muster__rank_occupies(world->local, +1);
    return MUSTER_OK;
}

/* All ranks fail if one does: they go on together or not at all. */
static muster_err agree(muster_err err)
{
    muster_err worst = muster__transport_worst(err);
    return err || !worst ? err : muster__fail(worst, "muster_init: another rank failed; it has said why");
}

static muster_err check_same_mode(const muster_options *options)
{
    return muster__transport_same(options->spmd)
               ? MUSTER_OK
               : muster__fail(MUSTER_ERR_INVAL, "muster_init: options->spmd is not the same on all ranks");
}

static muster_err set_up(const struct muster__world *world, const muster_options *options)
{
    struct muster__topology *topology = NULL; /* on local rank 0 */
    muster_err err = check_same_program(world);
    if (!err)
        err = check_same_mode(options);
    if (!err && world->local == 0)
        err = muster__topology_load(&topology);
    err = agree(err);
    if (!err)
        err = agree(make_segment(world, options, topology));
    if (!err)
        err = agree(place(world, options, topology));
    muster__topology_free(topology);
    if (!err)
        err = agree(report_start(world));
    if (!err)
        err = agree(nursery_start(world->local));
    fork_watch();
    if (!err && world->hosts > 1)
        err = agree(hosts_start(world));
    if (!err)
        err = agree(watch_start(world, options));
    return err;
}

/* After a failure that all ranks know of. */
static void take_down(void)
{
    if (muster__segment && muster__me.tables && atomic_load(&nursery_at(muster__me.world.local)->pid) > 0)
        nursery_stop(muster__me.world.local);
    muster__details_settle();
    muster__me.tables = NULL;
    if (muster__segment)
        muster__segment_detach();
    muster__transport_stop(true);
}

/* A child's OpenMP would wait for ever for the threads of a team that this thread has kept. It is given up before
 * children are forked; the next parallel region makes another one. Where one is open, and before OpenMP 5.0, the
 * threads stay, and are told of. */
static void give_up_team(void)
{
    enum { PAUSE_SOFT = 1 };
    int (*pause)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "omp_pause_resource_all");
    if (pause)
        pause(PAUSE_SOFT);
}

/* Of MPI's own, which the program may have begun, nobody is to be told. */
static int threads_before(void)
{
    int count = 0;
    DIR *tasks = muster__transport_runs() ? NULL : opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return count > 0 ? count - 1 : 0;
}

static void warn_of_threads(int threads)
{
    if (threads && muster__me.world.rank == 0)
        muster__log(MUSTER__WARN,
                    "%d thread%s made before muster_init: children are forked without them, with whatever locks they "
                    "held; call muster_init first",
                    threads, threads == 1 ? " was" : "s were");
}

muster_err muster__runtime_start(int *argc, char ***argv, const muster_options *options)
{
    if (muster__me.started || muster__me.is_child)
        return muster__fail(MUSTER_ERR_STATE, "muster_init: called before, or in a child");
    muster_err err = check_arguments(argc, argv, options);
    if (err)
        return err;
    muster__me.log_level = log_level(options);
    muster__me.spmd = options->spmd;
    struct utsname name;
    uname(&name);
    muster__log_setup(name.nodename, -1, 0, "", muster__me.log_level);
    err = launch_self(argc, argv, options);
    if (err)
        return err;
    watch_begin();
    struct muster__world *world = &muster__me.world;
    give_up_team();
    int threads = threads_before();
    err = muster__transport_start(argc, argv, world);
    if (err)
        return err;
    muster__me.started = true;
    muster__me.rank_pid = getpid();
    muster__me.launcher = getppid();
    muster__me.heeds_signals = !options->no_signals;
    muster__log_setup(name.nodename, world->rank, world->ranks, "", muster__me.log_level);
    muster__settings_say(world->rank == 0);
    warn_of_threads(threads);
    err = set_up(world, options);
    if (err) {
        take_down();
        return err;
    }
    place_self((uint32_t)world->local);
    if (!muster__transport_is_programs())
        muster__launcher_forget();
    if (!options->no_signals)
        signals_install();
    crash_install();
    watch_look_begin();
    muster__transport_host_barrier();
    muster__me.running = true;
    serve_meanwhile(options->spmd);
    stop_at_exit();
    if (world->local == 0)
        place_picture_if_asked(options);
    return MUSTER_OK;
}

/* A thread of the program's own that uses muster for the first time. */
static muster_err adopt_thread(void)
{
    if (!muster__me.tables)
        return MUSTER_ERR_STATE;
    muster_err err = muster__caller_enter(muster__me.member, false);
    if (!err)
        place_memory(muster__me.member);
    return err;
}

__attribute__((constructor)) static void set_hooks(void)
{
    muster__caller_adopt = adopt_thread;
}
