/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue under random kills: each item that was put is got whole, once, and in its producer's order, but for what is
 * in the hands of who is killed.
 */
#ifndef MUSTER_TESTS_KILL_QUEUE_H
#define MUSTER_TESTS_KILL_QUEUE_H

#include "kill_round.h"

static unsigned char pattern[ITEM_MAX + 256];

static muster_queue the_queue(void)
{
    return (muster_queue){shared->object};
}

static muster_err queue_make(muster_on on)
{
    muster_queue made;
    muster_err err = muster_queue_create(&made, &(muster_queue_options){.maxsize = round.maxsize, .on = on});
    shared->object = made.handle;
    return err;
}

static muster_err queue_end(void)
{
    return muster_queue_destroy(the_queue());
}

static bool is_of_many(uint32_t life)
{
    return life % 3 == 0;
}

static uint32_t mix(uint32_t n)
{
    n = (n ^ n >> 16) * 0x45d9f3bu;
    n = (n ^ n >> 16) * 0x45d9f3bu;
    return n ^ n >> 16;
}

/* An item says in its first bytes which it is; the rest is some part of the pattern. One of 0 bytes says nothing. */
static size_t item_size(uint32_t name)
{
    static const uint32_t magnitudes[] = {7, 15, 21};
    uint32_t mixed = mix(name + 1), bytes = UINT32_C(1) << mixed % magnitudes[round.size_class];
    if (is_of_many(name >> 16))
        return sizeof name;
    if (bytes < sizeof name)
        return 0;
    return bytes == ITEM_MAX ? bytes : bytes + (mixed >> 8) % bytes;
}

static const unsigned char *item_rest(uint32_t name)
{
    return &pattern[mix(name) % 256];
}

struct producer {
    uint32_t life, number;
};

static bool may_put(struct producer *producer)
{
    static const int64_t backlogs[] = {400, 100, 16};
    while (atomic_load(&shared->puts) - atomic_load(&shared->gets) - atomic_load(&shared->in_hand) >
           backlogs[round.size_class]) {
        if (atomic_load(&shared->stop))
            return false;
        nap();
    }
    if (!producer->life || producer->number + AT_ONCE > LIFE_ITEMS) {
        producer->life = atomic_fetch_add(&shared->lives, 1);
        producer->number = 0;
        HOSTS_CHECK(producer->life < LIVES);
    }
    return !atomic_load(&shared->stop);
}

static int64_t put_one(const struct producer *producer, int64_t timeout_ms)
{
    static unsigned char item[ITEM_MAX];
    uint32_t name = producer->life << 16 | producer->number;
    size_t size = item_size(name);
    if (size) {
        memcpy(item, &name, sizeof name);
        memcpy(item + sizeof name, item_rest(name), size - sizeof name);
    }
    muster_err err = muster_queue_put(the_queue(), size ? item : NULL, size, timeout_ms);
    HOSTS_CHECK(err == MUSTER_OK || err == MUSTER_ERR_FULL);
    return !err;
}

static int64_t put_many(const struct producer *producer, int64_t n, int64_t timeout_ms)
{
    uint32_t names[AT_ONCE];
    int64_t put;
    for (uint32_t i = 0; i < n; i++)
        names[i] = producer->life << 16 | (producer->number + i);
    muster_err err = muster_queue_put_many(the_queue(), names, n, sizeof *names, &put, timeout_ms);
    HOSTS_CHECK((err == MUSTER_OK && put == n) || (err == MUSTER_ERR_FULL && put < n));
    return put;
}

/* Nobody puts it again: the next items have other names. */
static void refused(struct life *life, uint32_t from, uint32_t to)
{
    for (uint32_t number = from; number < to; number++)
        atomic_fetch_or(&life->refused[number / 8], (uint8_t)(1 << number % 8));
}

static bool produce(struct worker *self)
{
    static struct producer producer;
    if (!may_put(&producer))
        return false;
    struct life *life = &shared->life[producer.life];
    int64_t n = is_of_many(producer.life) ? 1 + draw(AT_ONCE) : 1, timeout_ms = draw_timeout();
    atomic_store(&life->begun, producer.number + (uint32_t)n);
    begins(self, PUTS, 0);
    int64_t put = is_of_many(producer.life) ? put_many(&producer, n, timeout_ms) : put_one(&producer, timeout_ms);
    refused(life, producer.number + (uint32_t)put, producer.number + (uint32_t)n);
    producer.number += (uint32_t)n;
    atomic_store(&life->put, producer.number);
    becomes(self, IDLE, 0);
    atomic_fetch_add(&shared->puts, put);
    return true;
}

/* By one consumer: whole, once, and in the producer's order. */
static void got(const unsigned char *item, size_t size)
{
    static uint32_t next[LIVES];
    uint32_t name;
    atomic_fetch_add(&shared->gets, 1);
    if (size == 0) {
        atomic_fetch_add(&shared->empty_gets, 1);
        return;
    }
    HOSTS_CHECK(size >= sizeof name);
    memcpy(&name, item, sizeof name);
    uint32_t of = name >> 16, number = name & 0xffff;
    HOSTS_CHECK(of < LIVES && number < atomic_load(&shared->life[of].begun));
    HOSTS_CHECK(size == item_size(name));
    HOSTS_CHECK(memcmp(item + sizeof name, item_rest(name), size - sizeof name) == 0);
    uint8_t bit = (uint8_t)(1 << number % 8);
    HOSTS_CHECK(!(atomic_fetch_or(&shared->life[of].seen[number / 8], bit) & bit));
    HOSTS_CHECK(number >= next[of]);
    next[of] = number + 1;
}

static bool consume(struct worker *self)
{
    static unsigned char items[ITEM_MAX];
    int64_t most = draw(2) ? 1 + draw(AT_ONCE) : 1, n = 1, timeout_ms = draw_timeout();
    size_t sizes[AT_ONCE];
    begins(self, GETS, (uint32_t)most);
    muster_err err = most == 1 ? muster_queue_get(the_queue(), items, sizeof items, sizes, timeout_ms)
                               : muster_queue_get_many(the_queue(), items, sizeof items, most, sizes, &n, timeout_ms);
    HOSTS_CHECK(err == MUSTER_OK || err == MUSTER_ERR_CLOSED || (err == MUSTER_ERR_EMPTY && timeout_ms >= 0));
    const unsigned char *at = items;
    for (int64_t i = 0; err == MUSTER_OK && i < n; at += sizes[i++])
        got(at, sizes[i]);
    becomes(self, IDLE, 0);
    return err != MUSTER_ERR_CLOSED;
}

static uint32_t index_of(const struct worker *worker)
{
    return (uint32_t)(worker - shared->worker[hosts_self]);
}

static bool is_consumer(const struct worker *worker)
{
    return index_of(worker) >= round.producers[hosts_self];
}

static bool queue_work(struct worker *self)
{
    return is_consumer(self) ? consume(self) : produce(self);
}

static bool has(const _Atomic uint8_t *bits, uint32_t number)
{
    return atomic_load(&bits[number / 8]) >> number % 8 & 1;
}

/* Each put that returned was got, but for what those had in hand who were killed; who was killed while it put, may have
 * or not. */
static void queue_look(void)
{
    int64_t lost = 0, empty = 0, unsure = 0;
    for (uint32_t of = 1; of < atomic_load(&shared->lives); of++) {
        const struct life *life = &shared->life[of];
        uint32_t put = atomic_load(&life->put);
        for (uint32_t number = 0; number < atomic_load(&life->begun); number++) {
            bool is_empty = item_size(of << 16 | number) == 0;
            bool seen = has(life->seen, number), no = has(life->refused, number), sure = number < put && !no;
            if (is_empty)
                *(sure ? &empty : &unsure) += 1;
            else
                lost += sure && !seen;
            HOSTS_CHECK(!(seen && no));
        }
    }
    int64_t empty_got = atomic_load(&shared->empty_gets);
    HOSTS_CHECK(empty_got <= empty + unsure);
    lost += empty > empty_got ? empty - empty_got : 0;
    HOSTS_CHECK(lost <= atomic_load(&shared->in_hand));
}

static const struct kind kind_queue = {
    .name = "queue", .make = queue_make, .end = queue_end, .work = queue_work, .look = queue_look};

#endif
