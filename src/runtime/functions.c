/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A function travels as (tag, offset): its module's tag, which is 32 bits of the hash of its build id, and its offset
 * there. So it names the same function in every process on every host. Modules are listed in ROOT_MODULES, a table that
 * only grows: entry i is claimed by one compare-exchange and never changes. The path is for processes that have not
 * loaded the module: whoever claims the path writes it; if it dies over that, the module is found by who has it alone.
 */
enum { CACHE = 64 };

struct entry {
    _Atomic uint64_t id;
    _Atomic uint32_t path_state;
    char path[sizeof(((struct muster__module *)0)->path)];
};
enum { PATH_NONE, PATH_CLAIMED, PATH_KNOWN };

static struct entry *entry_at(int index)
{
    _Static_assert(sizeof(struct entry) <= FUNCTIONS_TABLE_BYTES / MODULES_MAX, "the table has room");
    return (struct entry *)muster__at(muster__segment->roots[MUSTER__ROOT_MODULES]) + index;
}

/* ---- modules loaded here ---- */

struct module {
    uint64_t id; /* 0: no build id */
    uintptr_t base, begin, end;
    char name[256];
};

struct search {
    uintptr_t address; /* the module around it, or, when 0, that of this tag */
    uint32_t tag;
    struct module found;
    bool executable, done; /* executable: the address is in code */
};

static uint64_t build_id(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_NOTE)
            continue;
        const char *at = (const char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        const char *end = at + info->dlpi_phdr[i].p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const void *)at;
            const char *name = at + sizeof *note, *bytes = name + ((note->n_namesz + 3) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0)
                return muster__hash(bytes, note->n_descsz) | 1;
            at = bytes + ((note->n_descsz + 3) & ~3u);
        }
    }
    return 0;
}

static bool in_code(const struct dl_phdr_info *info, uintptr_t address)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X &&
            address - info->dlpi_addr - part->p_vaddr < part->p_memsz)
            return true;
    }
    return false;
}

static void extent(const struct dl_phdr_info *info, struct module *module)
{
    module->begin = UINTPTR_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = begin + info->dlpi_phdr[i].p_memsz;
        module->begin = begin < module->begin ? begin : module->begin;
        module->end = end > module->end ? end : module->end;
    }
}

/* Not 0 unless the id is. */
static uint32_t tag_of(uint64_t id)
{
    return id ? (uint32_t)(id >> 32) | 1 : 0;
}

static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct search *search = arg;
    struct module module = {.base = info->dlpi_addr};
    extent(info, &module);
    bool around = search->address >= module.begin && search->address < module.end;
    if (search->address && !around)
        return 0;
    module.id = build_id(info);
    if (!search->address && tag_of(module.id) != search->tag)
        return 0;
    snprintf(module.name, sizeof module.name, "%s", info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe");
    search->found = module;
    search->executable = in_code(info, search->address);
    search->done = true;
    return 1;
}

static bool find_module(struct search *search)
{
    dl_iterate_phdr(visit, search);
    return search->done;
}

/* ---- naming ---- */

static void register_path(struct entry *entry, const char *name)
{
    char path[4096];
    uint32_t none = PATH_NONE;
    if (!realpath(name, path))
        return;
    size_t bytes = strlen(path) + 1;
    if (bytes > sizeof entry->path || !atomic_compare_exchange_strong(&entry->path_state, &none, PATH_CLAIMED))
        return;
    memcpy(entry->path, path, bytes);
    atomic_store(&entry->path_state, PATH_KNOWN);
}

/* The module's entry, made if need be; NULL: the table is full, or its tag is another one's. */
static struct entry *register_module(uint64_t id, const char *path)
{
    for (int i = 0; i < MODULES_MAX; i++) {
        struct entry *entry = entry_at(i);
        uint64_t there = atomic_load(&entry->id);
        if (!there && atomic_compare_exchange_strong(&entry->id, &there, id))
            there = id;
        if (there != id && tag_of(there) != tag_of(id))
            continue;
        if (there != id)
            return NULL;
        if (atomic_load(&entry->path_state) == PATH_NONE && path[0])
            register_path(entry, path);
        return entry;
    }
    return NULL;
}

static muster_err no_entry(const char *name)
{
    return muster__fail(MUSTER_ERR_NOFUNC,
                        "%s cannot be told apart: more than %d modules are used, or two build ids are too alike", name,
                        MODULES_MAX);
}

static uint64_t offset_of(muster__function function)
{
    return function & UINT32_MAX;
}

static muster_err name_slowly(const void *pointer, muster__function *function)
{
    struct search search = {.address = (uintptr_t)pointer};
    if (!pointer || !find_module(&search) || !search.executable)
        return muster__fail(MUSTER_ERR_NOFUNC, "%p is not the address of a function of a loaded module", pointer);
    if (!search.found.id)
        return muster__fail(MUSTER_ERR_NOFUNC, "%s has no build id; link it with -Wl,--build-id", search.found.name);
    uint64_t offset = (uintptr_t)pointer - search.found.base;
    if (offset > UINT32_MAX || !register_module(search.found.id, search.found.name))
        return no_entry(search.found.name);
    *function = (uint64_t)tag_of(search.found.id) << 32 | offset;
    return MUSTER_OK;
}

muster_err muster__function_name(const void *pointer, muster__function *function)
{
    static MUSTER__THREAD_LOCAL struct {
        const void *pointer;
        muster__function function;
    } cache[CACHE];
    size_t at = ((uintptr_t)pointer >> 4) % CACHE;
    if (MUSTER__UNLIKELY(cache[at].pointer != pointer || !pointer)) {
        muster__function named;
        muster_err err = name_slowly(pointer, &named);
        if (err)
            return err;
        cache[at].pointer = pointer;
        cache[at].function = named;
    }
    *function = cache[at].function;
    return MUSTER_OK;
}

/* ---- finding ---- */

/* Bases of modules found here, by tag. A slot is one module's for ever: its base is there before its tag. */
static struct {
    _Atomic uint32_t claimed, tag;
    _Atomic uintptr_t base;
} found[CACHE];

static struct entry *entry_of(uint32_t tag)
{
    for (int i = 0; i < MODULES_MAX && atomic_load(&entry_at(i)->id); i++)
        if (tag_of(atomic_load(&entry_at(i)->id)) == tag)
            return entry_at(i);
    return NULL;
}

/* The program that named the function may have loaded its module later than this process was forked. */
static bool load_module(struct search *search, const struct entry *entry)
{
    return entry && atomic_load(&entry->path_state) == PATH_KNOWN && dlopen(entry->path, RTLD_NOW | RTLD_LOCAL) &&
           find_module(search);
}

static muster_err find_slowly(muster__function function, void **pointer)
{
    uint32_t tag = (uint32_t)(function >> 32);
    struct entry *entry = entry_of(tag);
    struct search search = {.tag = tag};
    if (!tag || (!find_module(&search) && !load_module(&search, entry))) {
        bool named = entry && atomic_load(&entry->path_state) == PATH_KNOWN;
        return muster__fail(MUSTER_ERR_NOFUNC,
                            "%s (tag %08x) is not loaded in this process (rank %d, host %s), and cannot be",
                            named ? entry->path : "a module", tag, muster_rank(), muster__host_name());
    }
    if (!atomic_exchange(&found[tag % CACHE].claimed, 1)) {
        atomic_store(&found[tag % CACHE].base, search.found.base);
        atomic_store(&found[tag % CACHE].tag, tag);
    }
    *pointer = (void *)(search.found.base + offset_of(function));
    return MUSTER_OK;
}

muster_err muster__function_find(muster__function function, void **pointer)
{
    uint32_t tag = (uint32_t)(function >> 32), slot = tag % CACHE;
    if (MUSTER__UNLIKELY(!tag || atomic_load_explicit(&found[slot].tag, memory_order_acquire) != tag))
        return find_slowly(function, pointer);
    *pointer = (void *)(atomic_load_explicit(&found[slot].base, memory_order_relaxed) + (uintptr_t)offset_of(function));
    return MUSTER_OK;
}

/* ---- modules, for other hosts ---- */

int muster__modules_count(void)
{
    int n = 0;
    while (n < MODULES_MAX && atomic_load(&entry_at(n)->id))
        n++;
    return n;
}

static struct muster__module describe_entry(const struct entry *entry)
{
    struct muster__module module = {.id = atomic_load(&entry->id)};
    if (atomic_load(&entry->path_state) == PATH_KNOWN)
        memcpy(module.path, entry->path, sizeof module.path);
    return module;
}

struct muster__module muster__module_at(int index)
{
    return describe_entry(entry_at(index));
}

struct muster__module muster__module_of(muster__function function)
{
    const struct entry *entry = function ? entry_of((uint32_t)(function >> 32)) : NULL;
    return entry ? describe_entry(entry) : (struct muster__module){0};
}

muster_err muster__module_note(const struct muster__module *module)
{
    return !module->id || register_module(module->id, module->path) ? MUSTER_OK : no_entry(module->path);
}

/* ---- describing: static functions are only in the file's symbol table ---- */

static bool find_symbol(const char *file, size_t size, uint64_t offset, char *text, size_t text_size)
{
    const ElfW(Ehdr) *elf = (const void *)file;
    if (size < sizeof *elf || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
        elf->e_shoff + (size_t)elf->e_shnum * sizeof(ElfW(Shdr)) > size)
        return false;
    const ElfW(Shdr) *sections = (const void *)(file + elf->e_shoff);
    for (int i = 0; i < elf->e_shnum; i++) {
        const ElfW(Shdr) *section = &sections[i];
        if (section->sh_type != SHT_SYMTAB || section->sh_offset + section->sh_size > size ||
            section->sh_link >= elf->e_shnum)
            continue;
        const ElfW(Shdr) *names = &sections[section->sh_link];
        const ElfW(Sym) *symbols = (const void *)(file + section->sh_offset);
        for (size_t s = 0; s < section->sh_size / sizeof *symbols; s++) {
            if (ELF64_ST_TYPE(symbols[s].st_info) != STT_FUNC || symbols[s].st_value != offset ||
                symbols[s].st_name >= names->sh_size || names->sh_offset + names->sh_size > size)
                continue;
            snprintf(text, text_size, "%s", file + names->sh_offset + symbols[s].st_name);
            return true;
        }
    }
    return false;
}

static bool look_up(const char *path, uint64_t offset, char *text, size_t size)
{
    bool found = false;
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &stat) == 0 && stat.st_size > 0) {
        char *file = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file != MAP_FAILED) {
            found = find_symbol(file, (size_t)stat.st_size, offset, text, size);
            munmap(file, (size_t)stat.st_size);
        }
    }
    close(fd);
    return found;
}

void muster__function_describe(muster__function function, char *text, size_t size)
{
    void *pointer;
    uint64_t offset = offset_of(function);
    snprintf(text, size, "module %08x+0x%llx", (unsigned)(function >> 32), (unsigned long long)offset);
    if (!function || muster__function_find(function, &pointer))
        return;
    struct search search = {.address = (uintptr_t)pointer};
    if (!find_module(&search) || look_up(search.found.name, offset, text, size))
        return;
    Dl_info info;
    const char *base = strrchr(search.found.name, '/');
    if (dladdr(pointer, &info) && info.dli_sname && info.dli_saddr == pointer)
        snprintf(text, size, "%s", info.dli_sname);
    else
        snprintf(text, size, "%.40s+0x%llx", base ? base + 1 : search.found.name, (unsigned long long)offset);
}

/* ---- the program itself ---- */

static int visit_first(struct dl_phdr_info *info, size_t size, void *id)
{
    (void)size;
    *(uint64_t *)id = build_id(info);
    return 1;
}

uint64_t functions_build_id(void)
{
    static _Atomic uint64_t known;
    uint64_t id = atomic_load(&known);
    if (!id)
        dl_iterate_phdr(visit_first, &id); /* the executable comes first */
    atomic_store(&known, id);
    return id;
}

uint64_t functions_library_id(void)
{
    static const char here;
    struct search search = {.address = (uintptr_t)&here};
    return find_module(&search) ? search.found.id : 0;
}
