/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What the launcher tells its ranks by variables of the environment. They are read before main, and forgotten once MPI
 * runs: whatever a task starts is no rank of this job, and would take itself for one.
 */

extern char **environ;

static struct muster__launcher told;

static int number(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static void note(char *to, size_t size, const char *name)
{
    const char *text = getenv(name);
    snprintf(to, size, "%s", text ? text : "");
}

__attribute__((constructor)) static void read_launcher(void)
{
    told.open_mpi = getenv("OMPI_COMM_WORLD_SIZE");
    told.launched = told.open_mpi || getenv("PMIX_RANK") || getenv("PMI_RANK");
    told.processes = told.open_mpi ? number("OMPI_COMM_WORLD_SIZE") : number("PMI_SIZE");
    told.rank = told.open_mpi ? number("OMPI_COMM_WORLD_RANK") : number("PMI_RANK");
    /* a step of Slurm's, not the script of a job, which has the job's variables, too */
    if (getenv("SLURM_STEP_ID")) {
        told.slurm_tasks = number("SLURM_STEP_NUM_TASKS");
        told.slurm_task = number("SLURM_PROCID");
    }
    note(told.pmix_job, sizeof told.pmix_job, "PMIX_NAMESPACE");
    told.local = -1;
    if (told.open_mpi)
        told.local = number("OMPI_COMM_WORLD_LOCAL_RANK");
    else if (getenv("SLURM_STEP_ID"))
        told.local = number("SLURM_LOCALID");
}

const struct muster__launcher *muster__launcher(void)
{
    return &told;
}

bool muster__transport_launched(void)
{
    return told.launched;
}

/* ---- forgetting ---- */

/* Those that end in '_' begin the names of several. What the user has set for Open MPI (OMPI_MCA_btl ...) stays. */
static const char *const names[] = {
    "PMIX_",
    "PMI_",
    "OMPI_COMM_WORLD_",
    "OMPI_UNIVERSE_SIZE",
    "OMPI_APP_CTX_NUM_PROCS",
    "OMPI_NUM_APP_CTX",
    "OMPI_FIRST_RANKS",
    "OMPI_FILE_LOCATION",
    "OMPI_COMMAND",
    "OMPI_ARGV",
    "OMPI_MCA_pmix",
    "OMPI_MCA_ess",
    "OMPI_MCA_ess_base_",
    "OMPI_MCA_orte_ess_",
    "OMPI_MCA_orte_app_num",
    "OMPI_MCA_orte_hnp_uri",
    "OMPI_MCA_orte_jobfam_session_dir",
    "OMPI_MCA_orte_launch",
    "OMPI_MCA_orte_local_daemon_uri",
    "OMPI_MCA_orte_num_nodes",
    "OMPI_MCA_orte_precondition_transports",
    "OMPI_MCA_orte_tmpdir_base",
    "OMPI_MCA_orte_top_session_dir",
    "OMPI_MCA_initial_wdir",
    "OMPI_MCA_mpi_oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe",
    "OMPI_MCA_hwloc_base_binding_policy",
    "OMPI_MCA_shmem_RUNTIME_QUERY_hint",
    "MPI_LOCALNRANKS",
    "MPI_LOCALRANKID",
    "HYDI_CONTROL_FD",
    "SLURM_STEP_",
    "SLURM_STEPID",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_GTIDS",
    "SLURM_MPI_TYPE",
};

static bool is_launchers(const char *variable, size_t length)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t its = strlen(names[i]);
        bool begins = names[i][its - 1] == '_';
        if ((begins ? length >= its : length == its) && strncmp(variable, names[i], its) == 0)
            return true;
    }
    return false;
}

/* In an allocation of Slurm's mpirun would start its daemons by srun, and wait for a step that has no room beside ours:
 * what a task starts runs on its host. */
static void stay_on_host(void)
{
    if (!told.launched || !getenv("SLURM_JOBID"))
        return;
    setenv("OMPI_MCA_plm", "^slurm", 0);
    setenv("OMPI_MCA_ras", "^slurm", 0);
}

void muster__launcher_forget(void)
{
    char name[128];
    stay_on_host();
    for (char **variable = environ; variable && *variable;) {
        size_t length = strcspn(*variable, "=");
        if (length >= sizeof name || !is_launchers(*variable, length)) {
            variable++;
            continue;
        }
        memcpy(name, *variable, length);
        name[length] = '\0';
        unsetenv(name); /* the rest moves up */
    }
}
