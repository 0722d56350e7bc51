/* cfutures/detail/symbols.h - which function of which file an address of this process lies in.
 * SPDX-License-Identifier: MIT
 * LAYER 1.  Includes: os_file.h.  Included by: ../postmortem.h.
 *
 * HOW IT WORKS  The kernel says which file is mapped there, and the place in it; the file's program headers turn that into
 *   the address that its own tables use (what addr2line and nm mean); its symbol table names the function.  Static functions
 *   stand in .symtab only, which `strip` removes; then the exported ones in .dynsym are left.
 * NOTHING IN A FILE IS BELIEVED: each read may end early, each number is compared before it's used as a place or a size, and
 *   what a loop does is bounded by the bytes that are there.  A file that was replaced since it was mapped may say another
 *   name; the kernel marks the path of one that is gone, which then can't be opened.
 * REJECTED  dladdr(): knows exported functions only, and is a GNU name.  DWARF, for lines: addr2line reads it, with
 *   what is printed here. */
#ifndef CFUTURES_DETAIL_SYMBOLS_H
#define CFUTURES_DETAIL_SYMBOLS_H

#include "os_file.h"

#include <elf.h>

#if CF__BODIES

#define CF__FUNCTION_NAME 128 /* bytes of a function's name, with its final 0; longer ones are cut */

typedef struct cf__symbol {
    uint64_t address;             /* in the file's own terms */
    uint64_t offset;              /* of it from the function's start */
    char name[CF__FUNCTION_NAME]; /* empty: unknown */
} cf__symbol;

CF__PRIVATE bool
cf__elf_is_ours(const Elf64_Ehdr *header)
{
    const unsigned char ours = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_ident[EI_DATA] == ours && header->e_phentsize == sizeof(Elf64_Phdr);
}

/* The address that lies at `place` in the file, in code. */
CF__PRIVATE bool
cf__elf_address(int descriptor, const Elf64_Ehdr *header, uint64_t place, uint64_t *address)
{
    for (uint32_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        if (cf__os_read_at(descriptor, &segment, sizeof segment, header->e_phoff + i * sizeof segment) !=
            sizeof segment)
            return false;
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 && place >= segment.p_offset &&
            place - segment.p_offset < segment.p_filesz) {
            *address = place - segment.p_offset + segment.p_vaddr;
            return true;
        }
    }
    return false;
}

/* Looks in one symbol table for the function that symbol->address lies in. */
CF__PRIVATE bool
cf__elf_search(int descriptor, const Elf64_Shdr *table, const Elf64_Shdr *names, cf__symbol *symbol)
{
    Elf64_Sym part[128], best;
    bool found = false;
    memset(&best, 0, sizeof best);
    for (uint64_t at = 0; at < table->sh_size; at += sizeof part) {
        size_t size = CF__STATIC_CAST(size_t, CF__MIN(table->sh_size - at, sizeof part));
        size_t got = cf__os_read_at(descriptor, part, size, table->sh_offset + at);
        for (size_t i = 0; i < got / sizeof *part; i++) {
            const Elf64_Sym *candidate = &part[i];
            unsigned type = ELF64_ST_TYPE(candidate->st_info);
            if ((type == STT_FUNC || type == STT_GNU_IFUNC) && candidate->st_shndx != SHN_UNDEF &&
                symbol->address >= candidate->st_value && symbol->address - candidate->st_value < candidate->st_size &&
                (!found || candidate->st_value > best.st_value)) {
                best = *candidate;
                found = true;
            }
        }
        if (got != size)
            break; /* the file ends here */
    }
    if (!found || best.st_name >= names->sh_size)
        return false;
    size_t most =
        CF__STATIC_CAST(size_t, CF__MIN(names->sh_size - best.st_name, CF__STATIC_CAST(uint64_t, CF__FUNCTION_NAME)));
    size_t got = cf__os_read_at(descriptor, symbol->name, most, names->sh_offset + best.st_name);
    symbol->name[CF__MIN(got, sizeof symbol->name - 1)] = 0;
    for (char *c = symbol->name; *c != 0; c++) {
        if (*c <= ' ' || *c > '~')
            *c = '?'; /* goes into a message, and perhaps to a terminal */
    }
    symbol->offset = symbol->address - best.st_value;
    return symbol->name[0] != 0;
}

/* Looks in the symbol table of `kind`, if the file has one. */
CF__PRIVATE bool
cf__elf_search_kind(int descriptor, const Elf64_Ehdr *header, uint32_t kind, cf__symbol *symbol)
{
    Elf64_Shdr table, names;
    for (uint32_t i = 0; header->e_shentsize == sizeof table && i < header->e_shnum; i++) {
        if (cf__os_read_at(descriptor, &table, sizeof table, header->e_shoff + i * sizeof table) != sizeof table)
            return false;
        if (table.sh_type == kind && table.sh_link < header->e_shnum &&
            cf__os_read_at(descriptor, &names, sizeof names, header->e_shoff + table.sh_link * sizeof names) ==
                sizeof names &&
            names.sh_type == SHT_STRTAB && cf__elf_search(descriptor, &table, &names, symbol))
            return true;
    }
    return false;
}

/* What lies at `place` in the file at `path`; false: it isn't a program or a library, or can't be read. */
CF__PRIVATE bool
cf__symbol_find(const char *path, uint64_t place, cf__symbol *symbol)
{
    Elf64_Ehdr header;
    symbol->name[0] = 0;
    int descriptor = cf__os_open(path);
    if (descriptor < 0)
        return false;
    bool known = cf__os_read_at(descriptor, &header, sizeof header, 0) == sizeof header && cf__elf_is_ours(&header) &&
                 cf__elf_address(descriptor, &header, place, &symbol->address);
    if (known && !cf__elf_search_kind(descriptor, &header, SHT_SYMTAB, symbol) &&
        !cf__elf_search_kind(descriptor, &header, SHT_DYNSYM, symbol))
        symbol->name[0] = 0;
    cf__os_close_file(descriptor);
    return known;
}

#endif /* CF__BODIES */

#endif
