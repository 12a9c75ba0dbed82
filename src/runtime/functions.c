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
 * A function travels as (module, offset). Modules are named by the hash of their build id, in a table that only grows:
 * entry i of ROOT_MODULES is claimed by one compare-exchange and never changes. The path is for processes that have not
 * loaded the module: whoever claims the path writes it; if it dies over that, the module is found by who has it alone.
 */
enum { CACHE = 64 };

struct entry {
    _Atomic uint64_t id;
    _Atomic uint32_t path_state;
    char path[MUSTER__MODULE_PATH];
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
    uintptr_t address; /* the module around it, or, when 0, that of this id */
    uint64_t id;
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
    if (!search->address && module.id != search->id)
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
    if (!realpath(name, path) || strlen(path) >= sizeof entry->path ||
        !atomic_compare_exchange_strong(&entry->path_state, &none, PATH_CLAIMED))
        return;
    snprintf(entry->path, sizeof entry->path, "%s", path);
    atomic_store(&entry->path_state, PATH_KNOWN);
}

static int register_module(uint64_t id, const char *name)
{
    for (int i = 0; i < MODULES_MAX; i++) {
        struct entry *entry = entry_at(i);
        uint64_t there = atomic_load(&entry->id);
        if (!there && atomic_compare_exchange_strong(&entry->id, &there, id))
            there = id;
        if (there != id)
            continue;
        if (atomic_load(&entry->path_state) == PATH_NONE && name[0])
            register_path(entry, name);
        return i;
    }
    return -1;
}

static uint64_t function_make(int module, uint64_t offset)
{
    return ((uint64_t)module + 1) << 48 | offset;
}

static uint32_t function_module(muster__function function)
{
    return (uint32_t)(function >> 48) - 1;
}

static uint64_t function_offset(muster__function function)
{
    return function & ((UINT64_C(1) << 48) - 1);
}

static muster_err name_slowly(const void *pointer, muster__function *function)
{
    struct search search = {.address = (uintptr_t)pointer};
    if (!pointer || !find_module(&search) || !search.executable)
        return muster__fail(MUSTER_ERR_NOFUNC, "%p is not the address of a function of a loaded module", pointer);
    if (!search.found.id)
        return muster__fail(MUSTER_ERR_NOFUNC, "%s has no build id; link it with -Wl,--build-id", search.found.name);
    int index = register_module(search.found.id, search.found.name);
    if (index < 0)
        return muster__fail(MUSTER_ERR_NOFUNC, "functions of more than %d modules are used", MODULES_MAX);
    *function = function_make(index, (uintptr_t)pointer - search.found.base);
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

static _Atomic uintptr_t bases[MODULES_MAX]; /* base + 1 of modules found here; 0: not looked for yet */

/* The program that named the function may have loaded its module later than this process was forked. */
static bool load_module(struct search *search, const struct entry *entry)
{
    return atomic_load(&entry->path_state) == PATH_KNOWN && dlopen(entry->path, RTLD_NOW | RTLD_LOCAL) &&
           find_module(search);
}

static muster_err find_base(uint32_t index, uintptr_t *base)
{
    const struct entry *entry = entry_at(index < MODULES_MAX ? (int)index : 0);
    struct search search = {.id = index < MODULES_MAX ? atomic_load(&entry->id) : 0};
    if (!search.id || (!find_module(&search) && !load_module(&search, entry))) {
        const char *path = search.id && atomic_load(&entry->path_state) == PATH_KNOWN ? entry->path : "a module";
        return muster__fail(
            MUSTER_ERR_NOFUNC,
            "%s (build id hash %016llx) is not loaded in this process (rank %d, host %s), and cannot be", path,
            (unsigned long long)search.id, muster_rank(), muster__host_name());
    }
    *base = search.found.base;
    atomic_store(&bases[index], search.found.base + 1);
    return MUSTER_OK;
}

muster_err muster__function_find(muster__function function, void **pointer)
{
    uint32_t index = function_module(function);
    uintptr_t base = index < MODULES_MAX ? atomic_load_explicit(&bases[index], memory_order_relaxed) : 0;
    if (MUSTER__LIKELY(base)) {
        base--;
    } else {
        muster_err err = find_base(index, &base);
        if (err)
            return err;
    }
    *pointer = (void *)(base + function_offset(function));
    return MUSTER_OK;
}

/* ---- between hosts ---- */

void muster__function_pack(muster__function function, struct muster__function_abroad *abroad)
{
    *abroad = (struct muster__function_abroad){0};
    uint32_t index = function_module(function);
    if (!function || index >= MODULES_MAX)
        return;
    const struct entry *entry = entry_at((int)index);
    abroad->id = atomic_load(&entry->id);
    abroad->offset = function_offset(function);
    if (abroad->id != functions_build_id() && atomic_load(&entry->path_state) == PATH_KNOWN)
        memcpy(abroad->path, entry->path, sizeof abroad->path);
}

muster_err muster__function_unpack(const struct muster__function_abroad *abroad, muster__function *function)
{
    *function = 0;
    if (!abroad->id)
        return MUSTER_OK;
    int index = register_module(abroad->id, abroad->path);
    if (index < 0)
        return muster__fail(MUSTER_ERR_NOFUNC, "functions of more than %d modules are used", MODULES_MAX);
    *function = function_make(index, abroad->offset);
    return MUSTER_OK;
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
    uint64_t offset = function_offset(function);
    snprintf(text, size, "module %u+0x%llx", (unsigned)function_module(function), (unsigned long long)offset);
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
