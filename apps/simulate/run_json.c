/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/run_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <cjson/cJSON.h>

#include "simulate/version.h"

/* cJSON's numbers are doubles, which do not hold every seed; hence text. */
static void add_parameters(cJSON *root, const struct experiment *e)
{
    char seed[24];
    cJSON *parameters = cJSON_AddObjectToObject(root, "parameters");
    cJSON *sizes = cJSON_AddArrayToObject(parameters, "sizes");
    for (int i = 0; i < e->size_count; i++)
        cJSON_AddItemToArray(sizes, cJSON_CreateNumber(e->sizes[i]));
    cJSON_AddItemToObject(parameters, "temperatures", cJSON_CreateDoubleArray(e->temperatures, e->temperature_count));
    cJSON_AddNumberToObject(parameters, "replicas", e->replicas);
    cJSON_AddNumberToObject(parameters, "thermalize_sweeps", (double)e->thermalize_sweeps);
    cJSON_AddNumberToObject(parameters, "measurements", (double)e->measurements);
    cJSON_AddNumberToObject(parameters, "sweeps_between", (double)e->sweeps_between);
    snprintf(seed, sizeof seed, "%" PRIu64, e->seed);
    cJSON_AddStringToObject(parameters, "seed", seed);
}

static void add_versions(cJSON *root, const struct run_summary *run)
{
    struct utsname system;
    char kernel[160] = "unknown";
    if (uname(&system) == 0)
        snprintf(kernel, sizeof kernel, "%.50s %.60s %.40s", system.sysname, system.release, system.machine);
    cJSON *versions = cJSON_AddObjectToObject(root, "versions");
    cJSON_AddStringToObject(versions, "simulate", SIMULATE_VERSION);
    cJSON_AddStringToObject(versions, "muster", run->muster_version);
    cJSON_AddStringToObject(versions, "cjson", cJSON_Version());
    cJSON_AddStringToObject(versions, "compiler", __VERSION__);
    cJSON_AddStringToObject(versions, "system", kernel);
}

static void add_machine(cJSON *root, const struct run_summary *run)
{
    cJSON *machine = cJSON_AddObjectToObject(root, "machine");
    cJSON_AddNumberToObject(machine, "ranks", run->ranks);
    cJSON_AddNumberToObject(machine, "hosts", run->host_count);
    cJSON_AddNumberToObject(machine, "workers", run->workers);
    cJSON_AddStringToObject(machine, "worker_kind", run->isolated ? "isolated" : "in-rank");
    cJSON *shares = cJSON_AddArrayToObject(machine, "shares");
    for (int i = 0; i < run->hosts_seen; i++) {
        cJSON *share = cJSON_CreateObject();
        cJSON_AddStringToObject(share, "host", run->hosts[i].name);
        cJSON_AddNumberToObject(share, "tasks", run->hosts[i].tasks);
        cJSON_AddNumberToObject(share, "busy_seconds", run->hosts[i].busy_seconds);
        cJSON_AddItemToArray(shares, share);
    }
}

static void add_times(cJSON *root, const struct run_summary *run)
{
    char started[32] = "";
    struct tm utc;
    if (gmtime_r(&run->started, &utc))
        strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    cJSON *times = cJSON_AddObjectToObject(root, "times");
    cJSON_AddStringToObject(times, "started", started);
    cJSON_AddNumberToObject(times, "seconds", run->seconds);
    cJSON_AddNumberToObject(times, "busy_seconds", run->busy_seconds);
    cJSON_AddNumberToObject(times, "spin_updates", run->updates);
    if (run->seconds > 0)
        cJSON_AddNumberToObject(times, "spin_updates_per_ns", run->updates / run->seconds * 1e-9);
    if (run->busy_seconds > 0)
        cJSON_AddNumberToObject(times, "spin_updates_per_ns_and_worker", run->updates / run->busy_seconds * 1e-9);
}

int run_json_write(FILE *stream, const struct experiment *e, const struct run_summary *run)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "program", "simulate");
    cJSON_AddStringToObject(root, "experiment", run->experiment_file);
    add_parameters(root, e);
    cJSON *tasks = cJSON_AddObjectToObject(root, "tasks");
    cJSON_AddNumberToObject(tasks, "all", run->tasks);
    cJSON_AddNumberToObject(tasks, "finished", run->finished);
    cJSON_AddNumberToObject(tasks, "failed", run->failed);
    cJSON_AddNumberToObject(root, "interrupted_by_signal", run->interrupted);
    add_times(root, run);
    add_machine(root, run);
    add_versions(root, run);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text)
        return -1;
    fprintf(stream, "%s\n", text);
    free(text);
    return 0;
}
