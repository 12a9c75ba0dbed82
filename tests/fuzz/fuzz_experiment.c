/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as an experiment file: either an experiment within its bounds or one message, no crash, no leak. */
#include <stdint.h>
#include <string.h>

#include "require.h"
#include "simulate/experiment.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require_bounds(const struct experiment *e)
{
    REQUIRE(e->size_count >= 1 && e->size_count <= EXPERIMENT_SIZES_MAX);
    for (int i = 0; i < e->size_count; i++) {
        REQUIRE(lattice_size_allowed(e->sizes[i]));
        REQUIRE(i == 0 || e->sizes[i] > e->sizes[i - 1]);
    }
    REQUIRE(e->temperature_count >= 1 && e->temperature_count <= EXPERIMENT_TEMPERATURES_MAX);
    for (int i = 0; i < e->temperature_count; i++) {
        REQUIRE(e->temperatures[i] >= 0.199 && e->temperatures[i] <= 100);
        REQUIRE(i == 0 || e->temperatures[i] > e->temperatures[i - 1]);
    }
    REQUIRE(e->replicas >= 1 && e->thermalize_sweeps >= 0 && e->sweeps_between >= 1);
    REQUIRE(e->measurements >= CHAIN_BINS && e->measurements % CHAIN_BINS == 0);
    REQUIRE(e->measurements <= CHAIN_MEASUREMENTS_MAX);
    REQUIRE(experiment_tasks(e) >= 1 && experiment_tasks(e) <= EXPERIMENT_TASKS_MAX);
    REQUIRE(experiment_updates(e) > 0 && experiment_updates(e) <= 1e17);
    (void)experiment_task(e, experiment_tasks(e) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct experiment e;
    char error[EXPERIMENT_ERROR_MAX] = "";
    if (experiment_parse("input", (const char *)bytes, size, &e, error) == 0) {
        require_bounds(&e);
    } else {
        REQUIRE(strncmp(error, "input:", 6) == 0);
        REQUIRE(strstr(error, "; allowed: "));
        REQUIRE(!strchr(error, '\n'));
    }
    return 0;
}
