/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "segment/object.h"

/* Kinds and their classes; the object that a handle names, and how it is called in messages. */

static const struct muster__class *classes[MUSTER__KINDS_MAX];

void muster__class_register(enum muster__kind kind, const struct muster__class *class)
{
    _Static_assert((int)MUSTER__KINDS <= (int)MUSTER__KINDS_MAX, "kinds have room in the segment's head");
    classes[kind] = class;
}

const struct muster__class *muster__class_of(enum muster__kind kind)
{
    return (int)kind < (int)MUSTER__KINDS_MAX ? classes[kind] : NULL;
}

const char *muster__class_name(enum muster__kind kind)
{
    return (int)kind < (int)MUSTER__KINDS_MAX && classes[kind] ? classes[kind]->name : "object";
}

struct muster__object *muster__object_find(muster_handle handle, enum muster__kind kind)
{
    if (!muster__handle_fits(handle, kind))
        return NULL;
    struct muster__object *object = muster__object_slot(handle.slot);
    return muster__object_is(object, kind, handle.generation) ? object : NULL;
}

muster_err muster__object_stale(enum muster__kind kind, const char *operation)
{
    if (!muster__segment)
        return muster__fail(MUSTER_ERR_STATE, "%s: muster_init has not been called, or muster_finalize has", operation);
    return muster__fail(MUSTER_ERR_STALE, "%s: this handle's %s was destroyed or never created", operation,
                        muster__class_name(kind));
}

void muster__object_describe(const struct muster__object *object, char *text, size_t size)
{
    const char *kind = muster__class_name((enum muster__kind)muster__tag_unpack(atomic_load(&object->tag)).kind);
    unsigned slot = muster__object_slot_of(object);
    if (object->name[0])
        snprintf(text, size, "%s %u '%s'", kind, slot, object->name);
    else
        snprintf(text, size, "%s %u", kind, slot);
}

void muster__handle_text(muster_handle handle, char *text, size_t size)
{
    enum muster__kind kind = (enum muster__kind)(handle.kind_home >> 24);
    uint32_t home = handle.kind_home & 0xffffff;
    const struct muster__object *object = home == muster__segment->host ? muster__object_find(handle, kind) : NULL;
    if (object)
        muster__object_describe(object, text, size);
    else if (kind)
        snprintf(text, size, "%s %u of host %u", muster__class_name(kind), handle.slot, home);
    else
        snprintf(text, size, "the job");
}
