/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Start without a launcher: this process runs itself again under mpirun and stays, to forward signals and to end with a
 * code that says what happened (mpirun itself ends with 1 whenever it was told to stop).
 */

static const int forwarded[] = {SIGINT, SIGTERM, SIGUSR1};
enum { FORWARDED = sizeof forwarded / sizeof *forwarded };

static struct {
    volatile sig_atomic_t signal; /* the first stop signal; a notice is followed by one */
    bool apart;                   /* mpirun has a process group of its own */
    pid_t mpirun;
} state;

/* ---- standard input ---- */

/*
 * mpirun reads all of its own, whether a rank reads any or not: a shell's loop over lines would end with its first
 * program. So where that is no terminal, rank 0 gets this process's very own, before main: who reads it reads it, and
 * who does not leaves it to others. Across hosts that cannot be done, nor under kernels before 5.6: mpirun brings it
 * then.
 */
static const char lent[] = "MUSTER__STDIN";

static int take_from(pid_t pid)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    int taken = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, STDIN_FILENO, 0);
    if (process >= 0)
        close(process);
    return taken;
}

static bool may_be_elsewhere(void)
{
    static const char *const tell[] = {"SLURM_JOBID", "PBS_NODEFILE",      "LSB_HOSTS",
                                       "PE_HOSTFILE", "OMPI_MCA_hostfile", "OMPI_MCA_orte_default_hostfile"};
    for (size_t i = 0; i < sizeof tell / sizeof *tell; i++)
        if (getenv(tell[i]))
            return true;
    return false;
}

/* Whether rank 0 will be able to. */
static bool lend_stdin(void)
{
    char self[24];
    if (isatty(STDIN_FILENO) || may_be_elsewhere())
        return false;
    int taken = take_from(getpid());
    if (taken < 0)
        return false;
    close(taken);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* for kernels that ask for it; others answer INVAL */
    snprintf(self, sizeof self, "%d", (int)getpid());
    return setenv(lent, self, 1) == 0;
}

static bool runs_this_program(pid_t pid)
{
    char path[32], its[4096], own[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t size = readlink(path, its, sizeof its);
    return size > 0 && size == readlink("/proc/self/exe", own, sizeof own) && memcmp(its, own, (size_t)size) == 0;
}

__attribute__((constructor)) static void take_stdin(void)
{
    const char *text = getenv(lent), *rank = getenv("OMPI_COMM_WORLD_RANK");
    pid_t pid = text ? atoi(text) : 0;
    if (!rank)
        return;
    int taken = pid > 0 && strcmp(rank, "0") == 0 && runs_this_program(pid) ? take_from(pid) : -1;
    if (taken >= 0) {
        dup2(taken, STDIN_FILENO);
        close(taken);
    }
    unsetenv(lent);
}

static void read_nothing(void)
{
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing > STDIN_FILENO) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
}

/* ---- mpirun ---- */

/*
 * mpirun gives up at once when it gets a second SIGINT or SIGTERM, so it must get each one once. At a terminal it is in
 * our process group and gets Ctrl-C from the terminal itself. Elsewhere who signals the group (timeout, batch systems)
 * should reach it through us alone, so there it has a group of its own, and gets all signals as that: its ranks learn
 * from that by which one it was told.
 */
static void forward(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (!state.signal || state.signal == SIGUSR1)
        state.signal = signal;
    if (state.apart || info->si_code != SI_KERNEL)
        kill(state.apart && signal != SIGUSR1 ? -state.mpirun : state.mpirun, signal);
    errno = saved;
}

static bool at_terminal(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (tcgetpgrp(fd) == getpgrp())
            return true;
    return false;
}

static bool in_path(const char *program)
{
    char path[4096];
    const char *dirs = getenv("PATH");
    while (dirs && *dirs) {
        size_t length = strcspn(dirs, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)length, dirs, program);
        if (access(path, X_OK) == 0)
            return true;
        dirs += length + (dirs[length] == ':');
    }
    return false;
}

/* 0: that is mpirun's to say */
static int64_t ranks_wanted(void)
{
    int64_t wanted = muster__setting(MUSTER__SET_RANKS);
    return wanted || may_be_elsewhere() ? wanted : muster__cores_allowed(); /* mpirun takes all of the machine */
}

static char **command(int argc, char **argv, char *self)
{
    static char *fixed[] = {"mpirun", "--bind-to", "none"};
    static char ranks[24];
    int64_t wanted = ranks_wanted();
    char **line = calloc((size_t)argc + 10, sizeof *line);
    int n = 0;
    if (!line)
        return NULL;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        line[n++] = fixed[i];
    if (wanted) {
        snprintf(ranks, sizeof ranks, "%lld", (long long)wanted);
        line[n++] = "--oversubscribe";
        line[n++] = "-np";
        line[n++] = ranks;
    }
    line[n++] = self;
    for (int i = 1; i < argc; i++)
        line[n++] = argv[i];
    return line;
}

/* A signal that comes while mpirun starts waits until it can be forwarded. */
static muster_err start_mpirun(char **line)
{
    struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t stops, before;
    pid_t parent = getpid();
    fflush(NULL);
    sigemptyset(&stops);
    for (int i = 0; i < FORWARDED; i++)
        sigaddset(&stops, forwarded[i]);
    sigprocmask(SIG_BLOCK, &stops, &before);
    state.apart = !at_terminal();
    bool reads_nothing = fcntl(STDIN_FILENO, F_GETFD) < 0 || lend_stdin();
    state.mpirun = fork();
    if (state.mpirun == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (state.apart)
            setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &before, NULL);
        muster__settings_said();
        if (reads_nothing)
            read_nothing();
        if (getppid() == parent)
            execvp(line[0], line);
        _exit(127);
    }
    if (state.mpirun > 0 && state.apart)
        setpgid(state.mpirun, state.mpirun); /* whoever comes first */
    for (int i = 0; state.mpirun > 0 && i < FORWARDED; i++)
        sigaction(forwarded[i], &action, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return state.mpirun > 0 ? MUSTER_OK
                            : muster__fail_logged(MUSTER_ERR_SYSTEM, "mpirun cannot be started: %s", strerror(errno));
}

_Noreturn static void wait_for_mpirun(void)
{
    int status;
    while (waitpid(state.mpirun, &status, 0) < 0)
        if (errno != EINTR)
            exit(1);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == 1 && (state.signal == SIGINT || state.signal == SIGTERM))
        code = 128 + state.signal;
    exit(code);
}

static muster_err refuse_root(void)
{
    if (geteuid() != 0 || (getenv("OMPI_ALLOW_RUN_AS_ROOT") && getenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")))
        return MUSTER_OK;
    return muster__fail_logged(
        MUSTER_ERR_MPI, "Open MPI does not start ranks as root: run as a user, or set OMPI_ALLOW_RUN_AS_ROOT=1 and "
                        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1, or MUSTER_LAUNCH=0 to stay on one rank");
}

/* mpirun hangs where it cannot open what it needs: three files a rank, and some of its own. */
static muster_err refuse_many(void)
{
    long long wanted = ranks_wanted(), needs = 3 * wanted + 40;
    struct rlimit files;
    if (may_be_elsewhere())
        return MUSTER_OK;
    if (wanted > MUSTER__MEMBERS_MAX)
        return muster__fail_logged(MUSTER_ERR_INVAL, "MUSTER_RANKS=%lld: of a job a host has at most %d", wanted,
                                   MUSTER__MEMBERS_MAX);
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= (rlim_t)needs)
        return MUSTER_OK;
    return muster__fail_logged(
        MUSTER_ERR_SYSTEM, "mpirun needs ulimit -n %lld for %lld rank%s, and has %lld: raise it, or set MUSTER_RANKS",
        needs, wanted, muster__s(wanted), (long long)files.rlim_cur);
}

/* Slurm has started this process several times, without anything that MPI could find the others by. */
static muster_err refuse_srun(void)
{
    const struct muster__launcher *told = muster__launcher();
    if (told->slurm_tasks <= 1)
        return MUSTER_OK;
    muster_err err = muster__fail(MUSTER_ERR_MPI,
                                  "srun has started %d processes that know nothing of each other: use srun --mpi=pmix, "
                                  "or MUSTER_LAUNCH=0 where each is to be a job of its own",
                                  told->slurm_tasks);
    if (told->slurm_task == 0)
        muster__log(MUSTER__ERROR, "%s", muster_err_detail());
    return err;
}

muster_err launch_self(int *argc, char ***argv, const muster_options *options)
{
    if (muster__transport_launched() || muster__transport_runs() || options->no_launch ||
        !muster__setting(MUSTER__SET_LAUNCH))
        return MUSTER_OK;
    muster_err err = refuse_srun();
    if (err)
        return err;
    if (!in_path("mpirun")) {
        muster__log(MUSTER__WARN, "mpirun is not in PATH: going on with one rank");
        return MUSTER_OK;
    }
    err = refuse_root();
    if (!err)
        err = refuse_many();
    if (err)
        return err;
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char **line = length > 0 ? command(argc ? *argc : 0, argv ? *argv : NULL, self) : NULL;
    if (!line)
        return muster__fail_logged(MUSTER_ERR_SYSTEM, "this program's own path cannot be read");
    muster__settings_say(true);
    err = start_mpirun(line);
    if (!err)
        wait_for_mpirun();
    return err;
}
