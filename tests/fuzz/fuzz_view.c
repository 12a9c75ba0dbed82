/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as another host's view of who waits for what: none, or one that can be told in lines. */
#include <string.h>

#include "require.h"
#include "watch/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void say(void *count, const char *line)
{
    REQUIRE(*line && strlen(line) < 4096);
    ++*(uint32_t *)count;
}

static void tell(const struct view *view)
{
    uint32_t lines = 0;
    report_roll(view, 1, say, &lines);
    REQUIRE(lines <= view->head.lines && (lines > 0) == (view->head.lines > 0));
    for (uint32_t i = 0; i < view->head.lines; i++) {
        const struct watch_wait circle[] = {{.host = view->line[i].host, .caller = view->line[i].caller},
                                            {.host = view->line[0].host, .caller = view->line[0].caller}};
        report_circle(view, 1, circle, 2, say, &lines);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct view view;
    if (!view_unpack(&view, bytes, size))
        return 0;
    tell(&view);
    size_t again;
    void *packed = view_pack(&view, &again);
    REQUIRE(packed && again <= size);
    free(packed);
    view_free(&view);
    return 0;
}
