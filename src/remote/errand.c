/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a kind has done on another host beside operations on objects: quick errands by the agent, others by a thread
 * each, which tells the agent when it is over. */

enum { STACK_BYTES = 256 << 10 };

struct job {
    struct job *next;
    uint64_t id;
    char *bytes;       /* of a small payload: a copy */
    muster__ref block; /* a large one stays where it came to: copying it would keep the agent from its hosts */
    muster_err err;
    char text[REMOTE_TEXT];
    struct muster__errand errand;
};

static const struct muster__errands *errands[MUSTER__KINDS];

void muster__errands_register(enum muster__kind kind, const struct muster__errands *registered)
{
    errands[kind] = registered;
}

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    struct job *finished;
    int threads;
} crew = {.mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

static void job_free(void *arg)
{
    struct job *job = arg;
    free(job->bytes);
    free(job->errand.reply);
    free(job);
}

static void answer(struct job *job)
{
    muster__heap_free(job->block, muster__self_state.number);
    struct frame frame = {.type = FRAME_ANSWER, .id = job->id, .object = job->errand.object};
    frame.answer.err = job->err;
    frame.answer.free = muster__seats_free();
    frame.answer.got = job->errand.reply_size;
    frame.size = job->err ? strlen(job->text) + 1 : job->errand.reply_size;
    letter_count(job->errand.object, frame.size);
    if (job->err) {
        letter_send(job->errand.host, &frame, job->text, frame.size);
        job_free(job);
    } else {
        letter_send_bytes(job->errand.host, &frame, job->errand.reply, job_free, job);
    }
}

static void run(struct job *job)
{
    job->err = errands[job->errand.object.kind_home >> 24]->run(&job->errand);
    if (job->err)
        snprintf(job->text, sizeof job->text, "%s", muster_err_detail());
}

static void *thread_main(void *arg)
{
    struct job *job = arg;
    muster__thread_serves();
    run(job);
    pthread_mutex_lock(&crew.mutex);
    job->next = crew.finished;
    crew.finished = job;
    crew.threads--;
    pthread_cond_broadcast(&crew.ended);
    pthread_mutex_unlock(&crew.mutex);
    muster__ring(atomic_load(&office()->agent));
    return NULL;
}

static bool start_thread(struct job *job)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&crew.mutex);
    bool made = pthread_create(&thread, &attributes, thread_main, job) == 0;
    crew.threads += made;
    pthread_mutex_unlock(&crew.mutex);
    pthread_attr_destroy(&attributes);
    return made;
}

static struct job *job_make(int host, const struct frame *frame, const void *payload, muster__ref block)
{
    struct job *job = calloc(1, sizeof *job);
    MUSTER__CHECK_EQ(job != NULL, true);
    job->id = frame->id;
    job->errand = (struct muster__errand){.object = frame->object,
                                          .operation = frame->operation,
                                          .host = host,
                                          .timeout_ms = frame->call.timeout_ms,
                                          .size = frame->size,
                                          .capacity = frame->call.capacity};
    job->block = block;
    job->bytes = frame->size && !block ? malloc(frame->size) : NULL;
    job->errand.reply = frame->call.capacity ? malloc(frame->call.capacity) : NULL;
    MUSTER__CHECK_EQ((job->bytes || block || !frame->size) && (job->errand.reply || !frame->call.capacity), true);
    if (job->bytes)
        memcpy(job->bytes, payload, frame->size);
    job->errand.bytes = block ? payload : job->bytes;
    return job;
}

void errand_begin(int host, const struct frame *frame, const void *payload, muster__ref block)
{
    uint32_t kind = frame->object.kind_home >> 24;
    struct job *job = job_make(host, frame, payload, block);
    if (kind >= MUSTER__KINDS || !errands[kind]) {
        job->err = MUSTER_ERR_UNSUPPORTED;
        answer(job);
        return;
    }
    if (errands[kind]->quick(frame->operation)) {
        muster__hurry(false);
        run(job);
        muster__hurry(true);
        answer(job);
    } else if (!start_thread(job)) {
        job->err = MUSTER_ERR_NOMEM;
        snprintf(job->text, sizeof job->text, "%s: no thread for what another host asks", muster__host_name());
        answer(job);
    }
}

bool errand_look(void)
{
    pthread_mutex_lock(&crew.mutex);
    struct job *job = crew.finished;
    crew.finished = NULL;
    pthread_mutex_unlock(&crew.mutex);
    bool any = job != NULL;
    for (struct job *next; job; job = next) {
        next = job->next;
        answer(job);
    }
    return any;
}

/* ---- the end ---- */

static struct {
    pthread_t thread;
    bool runs;
} ender;

static void *end_objects(void *unused)
{
    (void)unused;
    muster__thread_serves();
    muster__self_number(); /* who ends an object calls those that wait in it */
    muster__host_stop();
    return NULL;
}

void errand_end_objects(void)
{
    if (ender.runs)
        return;
    if (pthread_create(&ender.thread, NULL, end_objects, NULL) != 0)
        muster__transport_abort(1); /* nobody would ever end */
    ender.runs = true;
}

void errand_stop(void)
{
    if (ender.runs)
        pthread_join(ender.thread, NULL);
    ender.runs = false;
    pthread_mutex_lock(&crew.mutex);
    while (crew.threads)
        pthread_cond_wait(&crew.ended, &crew.mutex);
    pthread_mutex_unlock(&crew.mutex);
}
