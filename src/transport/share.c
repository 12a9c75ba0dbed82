/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/*
 * What the processes of a host share. Usually a window of MPI's, which is a file in /dev/shm. Where that has not the
 * room, as in a container, or is not there, it is a file without a name: local rank 0 makes it, the others open it by
 * way of its process, and it counts as memory alone. With a single rank on the host MPI would give private memory,
 * which a child would not share: there it is an anonymous mapping.
 *
 * MPI_Win_allocate_shared fails in one rank and leaves the others waiting in it, so all that can be known is looked at
 * before; what fails all the same ends the job.
 */

#define TMPFS 0x01021994 /* what statfs calls it */
/* Less than that, and not asked for: worth a word. */
#define SMALL ((size_t)1 << 30)

static struct {
    MPI_Win window;
    void *mapped; /* instead of a window */
    size_t mapped_bytes;
} state = {.window = MPI_WIN_NULL};

/* What local rank 0 has decided for its host. */
struct plan {
    uint64_t bytes, least, in_shm; /* in_shm: what /dev/shm has room for */
    bool asked, window;
};

static size_t less(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Leaves some of it to others. */
static size_t room_in_shm(void)
{
    struct statfs kind;
    struct statvfs shm;
    if (statfs("/dev/shm", &kind) || kind.f_type != TMPFS || statvfs("/dev/shm", &shm) || access("/dev/shm", W_OK))
        return 0;
    return (size_t)shm.f_bavail * shm.f_frsize / 10 * 9;
}

/* A file beyond the limit of its size (ulimit -f) would be a signal, not an error. */
static size_t room_in_file(void)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited ? (size_t)limit.rlim_cur / 10 * 9 : SIZE_MAX;
}

/* Under ulimit -v half of what is left: the program and MPI need some, too. */
static size_t room_in_addresses(void)
{
    struct rlimit limit;
    long long pages = 0;
    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    size_t used = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
    return limit.rlim_cur > used ? (limit.rlim_cur - used) / 2 : 0;
}

static struct plan make_plan(const struct muster__room *room)
{
    struct plan plan = {.bytes = room->wanted, .least = room->least, .asked = room->asked, .in_shm = room_in_shm()};
    plan.window = plan.in_shm >= plan.bytes || (plan.in_shm >= SMALL && !plan.asked);
    if (plan.window)
        plan.bytes = less(plan.bytes, plan.in_shm);
    return plan;
}

static void say_cut(const struct plan *plan, size_t bytes, bool aloud, const char *by)
{
    if (aloud && (plan->asked || bytes < SMALL))
        muster__log(MUSTER__WARN, "what the ranks of this host share is cut to %zu MiB: %s", bytes >> 20, by);
}

/* Every rank of the host comes to the same. */
static muster_err fit(struct plan *plan, MPI_Comm host, bool first)
{
    uint64_t room[2] = {room_in_addresses(), room_in_file()}, least[2];
    MPI_Allreduce(room, least, 2, MPI_UINT64_T, MPI_MIN, host);
    bool addresses = least[0] <= least[1];
    const char *limit = addresses ? "the limit of address space (ulimit -v)" : "the limit of a file's size (ulimit -f)";
    size_t fits = addresses ? least[0] : least[1];
    if (fits >= plan->bytes)
        return MUSTER_OK;
    if (fits < plan->least) {
        muster_err err = muster__fail(
            MUSTER_ERR_NOMEM,
            "no host segment: %s leaves room for %zu MiB, at least %zu are needed: raise it (ulimit -%c unlimited)",
            limit, fits >> 20, (size_t)plan->least >> 20, addresses ? 'v' : 'f');
        if (first)
            muster__log(MUSTER__ERROR, "%s", muster_err_detail());
        return err;
    }
    plan->bytes = fits & ~UINT64_C(4095);
    say_cut(plan, plan->bytes, first, addresses ? "ulimit -v leaves no more" : "ulimit -f allows no more");
    return MUSTER_OK;
}

/* ---- alone on the host ---- */

static muster_err share_alone(struct plan *plan, void **memory)
{
    void *mapped;
    size_t bytes = plan->bytes;
    do /* the kernel may count all of it (vm.overcommit_memory=2) */
        mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    while (mapped == MAP_FAILED && (bytes = bytes / 2 & ~(size_t)4095) >= plan->least);
    if (mapped == MAP_FAILED)
        return muster__fail_logged(MUSTER_ERR_NOMEM,
                                   "no host segment of %zu MiB: no memory, or too little may be promised "
                                   "(vm.overcommit_memory); set MUSTER_SEGMENT_MIB to less",
                                   (size_t)plan->bytes >> 20);
    if (bytes < plan->bytes)
        say_cut(plan, bytes, true, "the kernel promises no more (vm.overcommit_memory)");
    plan->bytes = bytes;
    state.mapped = *memory = mapped;
    state.mapped_bytes = bytes;
    return MUSTER_OK;
}

/* ---- a file without a name ---- */

struct nameless {
    int64_t pid, fd; /* fd: -1: there is none */
    uint64_t device, inode;
};

static int make_nameless(size_t bytes, struct nameless *told)
{
    struct stat about;
    int fd = memfd_create("muster", MFD_CLOEXEC);
    *told = (struct nameless){.pid = getpid(), .fd = -1};
    if (fd < 0 || ftruncate(fd, (off_t)bytes) || fstat(fd, &about))
        return fd;
    told->fd = fd;
    told->device = about.st_dev;
    told->inode = about.st_ino;
    return fd;
}

/* Where processes do not see each other (namespaces) that number is somebody else's, or nobody's. */
static int open_nameless(const struct nameless *told)
{
    char path[64];
    struct stat about;
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)told->pid, (long long)told->fd);
    int fd = told->fd < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &about) || about.st_dev != told->device || about.st_ino != told->inode)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* True in all ranks of the host, or in none. */
static bool share_nameless(const struct plan *plan, MPI_Comm host, bool first, void **memory)
{
    struct nameless told;
    int all = 0, fd = first ? make_nameless(plan->bytes, &told) : -1;
    MPI_Bcast(&told, sizeof told, MPI_BYTE, 0, host);
    if (!first)
        fd = open_nameless(&told);
    void *mapped =
        fd < 0 || told.fd < 0 ? MAP_FAILED : mmap(NULL, plan->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int mine = mapped != MAP_FAILED;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, host);
    if (fd >= 0)
        close(fd);
    if (mine && !all)
        munmap(mapped, plan->bytes);
    if (!all)
        return false;
    state.mapped = *memory = mapped;
    state.mapped_bytes = plan->bytes;
    return true;
}

/* ---- a window ---- */

static void *page_up(void *memory)
{
    return (void *)(((uintptr_t)memory + 4095) & ~(uintptr_t)4095);
}

static void share_window(const struct plan *plan, MPI_Comm host, bool first, void **memory)
{
    int unit;
    MPI_Aint size;
    void *base;
    int tries = muster__transport_is_programs() ? transport_address_tries(0) : -1;
    int code =
        MPI_Win_allocate_shared(first ? (MPI_Aint)plan->bytes + 4096 : 0, 1, MPI_INFO_NULL, host, &base, &state.window);
    if (tries >= 0)
        transport_address_tries(tries);
    if (code != MPI_SUCCESS) {
        muster__log(
            MUSTER__ERROR,
            "no host segment of %zu MiB: MPI gives no shared window of that size; the job ends, since its other "
            "ranks wait for that: make room in /dev/shm, or set MUSTER_SEGMENT_MIB to less",
            (size_t)plan->bytes >> 20);
        muster__transport_abort(1);
    }
    MPI_Win_shared_query(state.window, 0, &size, &unit, &base);
    *memory = page_up(base);
}

/* What is left when a file without a name cannot be shared. */
static muster_err fall_back(struct plan *plan, bool first)
{
    if (plan->in_shm >= plan->least) {
        say_cut(plan, plan->in_shm, first,
                "/dev/shm has no more room: mount it larger (mount -o remount,size=..., or --shm-size of a container)");
        plan->bytes = less(plan->bytes, plan->in_shm) & ~(size_t)4095;
        return MUSTER_OK;
    }
    muster_err err = muster__fail(
        MUSTER_ERR_NOMEM,
        "no host segment: /dev/shm has room for %zu MiB, at least %zu are needed, and processes here cannot open "
        "each other's files in /proc: mount it larger (mount -o remount,size=..., or --shm-size of a container)",
        (size_t)plan->in_shm >> 20, (size_t)plan->least >> 20);
    if (first)
        muster__log(MUSTER__ERROR, "%s", muster_err_detail());
    return err;
}

muster_err muster__transport_share(const struct muster__room *room, size_t *bytes, void **memory)
{
    MPI_Comm host = transport_host();
    int local, locals;
    MPI_Comm_rank(host, &local);
    MPI_Comm_size(host, &locals);
    struct plan plan = {0};
    if (local == 0)
        plan = make_plan(room);
    MPI_Bcast(&plan, sizeof plan, MPI_BYTE, 0, host);
    if (locals == 1)
        plan.bytes = room->wanted;
    muster_err err = fit(&plan, host, local == 0);
    if (err)
        return err;
    if (locals == 1) {
        err = share_alone(&plan, memory);
    } else if (plan.window || !share_nameless(&plan, host, local == 0, memory)) {
        err = plan.window ? MUSTER_OK : fall_back(&plan, local == 0);
        if (!err)
            share_window(&plan, host, local == 0, memory);
    }
    *bytes = plan.bytes;
    return err;
}

void transport_share_unmap(void)
{
    if (state.mapped)
        munmap(state.mapped, state.mapped_bytes);
    state.mapped = NULL;
}

void transport_share_free(void)
{
    if (state.window != MPI_WIN_NULL)
        MPI_Win_free(&state.window);
}
