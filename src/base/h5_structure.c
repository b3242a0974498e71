#include "base/h5_structure.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    LEAF_K = 4, /* HDF5's own, which are written */
    NODE_K = 16,
    SUPERBLOCK = 96,
    NODE = 24 + 8 * (4 * NODE_K + 1),
    LEAF_ENTRY = 40,
    LEAF = 8 + 2 * LEAF_K * LEAF_ENTRY,
    HEAP_HEADER = 32,
    GLOBAL_LEAST = 4096,
    DEEPEST = 24, /* groups below each other; a collection has 9 */
    MOST_RANK = 8,
    MOST_TYPE = 24,
    MOST_BLOCKS = 1024, /* of a header; an attribute may take one */
};
static const uint64_t undefined = UINT64_MAX;

typedef struct walk {
    const uint8_t *base; /* addresses count from here */
    size_t size;
    uint64_t budget; /* work that is left: no file needs more, a cycle would */
    const char *path;
    ap_error *error;
} walk;

static ap_status not_plain(const walk *w, uint64_t at, const char *what) {
    return ap_fail(
        w->error, AP_DATA,
        "%s: at byte %llu of its HDF5 part: %s; that is not the plain structure that this program writes, so "
        "the file is damaged, made to do harm, or made by another version: make it again",
        w->path, (unsigned long long)at, what);
}

/* ---- bytes */

static uint64_t get(const uint8_t *p, int bytes) {
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | p[i];
    return value;
}
static uint64_t get8(const uint8_t *p) {
    return get(p, 8);
}

static bool lies_in(const walk *w, uint64_t at, uint64_t bytes) {
    return at <= w->size && bytes <= w->size - at;
}

/* Pays for `work` units. */
static bool pay(walk *w, uint64_t work) {
    bool enough = w->budget >= work;
    w->budget -= enough ? work : w->budget;
    return enough;
}

/* A block with its signature. */
static ap_status need_block(walk *w, uint64_t at, const char *signature, uint64_t bytes, const char *what) {
    if (!lies_in(w, at, bytes) || memcmp(w->base + at, signature, 4)) return not_plain(w, at, what);
    return pay(w, 1) ? AP_OK : not_plain(w, at, "the structure goes round in circles");
}

/* ---- types and spaces */

typedef struct type {
    uint64_t size, encoded; /* of an element; of its description */
    bool variable;          /* a string of variable length */
} type;

#define INTEGER(sign, bytes)                                                                                           \
    { 0x10, sign, 0, 0, bytes, 0, 0, 0, 0, 0, 8 * bytes, 0 }
static const struct {
    uint64_t bytes;
    uint8_t code[MOST_TYPE];
} types[] = {
    {12, INTEGER(8, 8)}, /* int64, int32, int16, uint8, uint64 */
    {12, INTEGER(8, 4)},
    {12, INTEGER(8, 2)},
    {12, INTEGER(0, 1)},
    {12, INTEGER(0, 8)},
    {20, {0x11, 0x20, 0x1f, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},   /* float32 */
    {20, {0x11, 0x20, 0x3f, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xff, 3, 0, 0}}, /* float64 */
    {20, {0x19, 0x01, 0x01, 0, 16, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0}},    /* UTF-8, variable length */
};
enum { TYPES = sizeof types / sizeof *types };

static ap_status check_type(const walk *w, const uint8_t *p, uint64_t n, type *t) {
    for (int i = 0; i < TYPES; i++)
        if (n >= types[i].bytes && !memcmp(p, types[i].code, types[i].bytes)) {
            *t = (type){.size = get(p + 4, 4), .encoded = types[i].bytes, .variable = i == TYPES - 1};
            return AP_OK;
        }
    bool text = n >= 8 && p[0] == 0x13 && (p[1] & 0x0f) <= 2 && (p[1] >> 4) <= 1 && !p[2] && !p[3];
    if (!text || !get(p + 4, 4)) return not_plain(w, (uint64_t)(p - w->base), "an unknown type");
    *t = (type){.size = get(p + 4, 4), .encoded = 8};
    return AP_OK;
}

static ap_status check_space(const walk *w, const uint8_t *p, uint64_t n, uint64_t *points) {
    uint64_t at = (uint64_t)(p - w->base);
    if (n < 8 || p[0] != 1 || p[1] > MOST_RANK || p[2] > 1) return not_plain(w, at, "an unknown data space");
    uint64_t rank = p[1], most = p[2] ? 2 * rank : rank;
    int64_t shape[MOST_RANK], count;
    if (n < 8 + 8 * most) return not_plain(w, at, "a data space that is cut off");
    for (uint64_t i = 0; i < rank; i++) {
        uint64_t extent = get8(p + 8 + 8 * i);
        shape[i] = extent > INT64_MAX ? -1 : (int64_t)extent;
        if (p[2] && get8(p + 8 + 8 * (rank + i)) != extent) return not_plain(w, at, "a data space that can grow");
    }
    if (!ap_shape_size((int)rank, shape, &count)) return not_plain(w, at, "a data space of absurd size");
    *points = (uint64_t)count;
    return AP_OK;
}

/* ---- global heaps: where texts of variable length lie */

static ap_status check_text(walk *w, const uint8_t *reference) {
    uint64_t length = get(reference, 4), at = get8(reference + 4), index = get(reference + 12, 4);
    if (!length && !at) return AP_OK; /* the empty text */
    AP_TRY(need_block(w, at, "GCOL", 16, "no global heap where a text should be"));
    uint64_t bytes = get8(w->base + at + 8), found = 0;
    if (w->base[at + 4] != 1 || bytes < GLOBAL_LEAST || bytes % 8 || !lies_in(w, at, bytes))
        return not_plain(w, at, "a global heap that does not lie in the file");
    uint8_t seen[8192] = {0};
    for (uint64_t p = at + 16, end = at + bytes; end - p >= 16;) {
        uint64_t id = get(w->base + p, 2), size = get8(w->base + p + 8), left = end - p;
        if (!pay(w, 1)) return not_plain(w, at, "the structure goes round in circles");
        if (id == 0) { /* what is free: the rest */
            if (size != left) return not_plain(w, p, "free room in a global heap that is not its rest");
            break;
        }
        if (size > left - 16 || (size + 7) / 8 * 8 > left - 16 || seen[id / 8] & 1 << id % 8)
            return not_plain(w, p, "a damaged object in a global heap");
        seen[id / 8] = (uint8_t)(seen[id / 8] | 1 << id % 8);
        if (id == index && length <= size) found++;
        p += 16 + (size + 7) / 8 * 8;
    }
    return found ? AP_OK : not_plain(w, at, "a text that is not in its global heap");
}

/* ---- attributes */

static uint64_t padded(uint64_t n) {
    return (n + 7) / 8 * 8;
}

static ap_status check_attribute(walk *w, const uint8_t *p, uint64_t n) {
    uint64_t at = (uint64_t)(p - w->base), points;
    type t;
    if (n < 8 || p[0] != 1) return not_plain(w, at, "an attribute of another version");
    uint64_t name = get(p + 2, 2), kind = get(p + 4, 2), space = get(p + 6, 2);
    if (!name || 8 + padded(name) + padded(kind) + padded(space) > n)
        return not_plain(w, at, "an attribute that is cut off");
    if (strnlen((const char *)p + 8, name) != name - 1) return not_plain(w, at, "an attribute's name without an end");
    const uint8_t *q = p + 8 + padded(name);
    AP_TRY(check_type(w, q, kind, &t));
    AP_TRY(check_space(w, q + padded(kind), space, &points));
    const uint8_t *data = q + padded(kind) + padded(space);
    uint64_t left = n - (uint64_t)(data - p);
    if (t.encoded != kind || points != 1 || t.size > left)
        return not_plain(w, at, "an attribute that is no single value");
    return t.variable ? check_text(w, data) : AP_OK;
}

/* ---- object headers */

typedef struct object {
    bool has_type, has_space, has_layout, has_table;
    type type;
    uint64_t points, address, bytes; /* of a data set */
    uint64_t tree, heap;             /* of a group */
} object;

static ap_status check_layout(const walk *w, const uint8_t *p, uint64_t n, object *o) {
    if (n < 18 || p[0] != 3 || p[1] != 1)
        return not_plain(w, (uint64_t)(p - w->base), "a layout that is not contiguous");
    o->address = get8(p + 2);
    o->bytes = get8(p + 10);
    o->has_layout = true;
    return AP_OK;
}

/* A fill value that is undefined or empty: data sets are always written. */
static ap_status check_fill(const walk *w, const uint8_t *p, uint64_t n) {
    bool plain = n >= 4 && p[0] == 2 && p[1] <= 3 && p[2] <= 2 && p[3] <= 1 && (!p[3] || (n >= 8 && !get(p + 4, 4)));
    return plain ? AP_OK : not_plain(w, (uint64_t)(p - w->base), "an unknown fill value");
}

/* Of two of a kind libhdf5 may take the other one. */
static bool is_repeated(unsigned kind, const object *o) {
    return (kind == 0x01 && o->has_space) || (kind == 0x03 && o->has_type) || (kind == 0x08 && o->has_layout) ||
           (kind == 0x11 && o->has_table);
}

static ap_status check_message(walk *w, unsigned kind, const uint8_t *p, uint64_t n, object *o) {
    if (is_repeated(kind, o)) return not_plain(w, (uint64_t)(p - w->base), "a message that is there twice");
    switch (kind) {
    case 0x00: return AP_OK; /* nothing */
    case 0x01: o->has_space = true; return check_space(w, p, n, &o->points);
    case 0x03: o->has_type = true; return check_type(w, p, n, &o->type);
    case 0x05: return check_fill(w, p, n);
    case 0x08: return check_layout(w, p, n, o);
    case 0x0c: return check_attribute(w, p, n);
    case 0x11:
        if (n < 16) break;
        o->has_table = true;
        o->tree = get8(p);
        o->heap = get8(p + 8);
        return AP_OK;
    }
    return not_plain(w, (uint64_t)(p - w->base), "a message that is never written");
}

/* A block of a header's messages; those that its continuations name are added to the list. */
typedef struct block {
    uint64_t at, bytes;
} block;

static ap_status check_block(walk *w, block b, unsigned *messages, block *more, size_t *blocks, object *o) {
    if (!lies_in(w, b.at, b.bytes)) return not_plain(w, b.at, "a header that does not lie in the file");
    for (uint64_t p = b.at, end = b.at + b.bytes; p < end;) {
        if (end - p < 8) return not_plain(w, p, "a gap between messages");
        unsigned kind = (unsigned)get(w->base + p, 2), flags = w->base[p + 4];
        uint64_t n = get(w->base + p + 2, 2);
        if (n % 8 || n > end - p - 8 || flags > 1) return not_plain(w, p, "a message that is cut off or shared");
        if (!pay(w, 1)) return not_plain(w, p, "the structure goes round in circles");
        const uint8_t *data = w->base + p + 8;
        ++*messages;
        if (kind != 0x10) {
            AP_TRY(check_message(w, kind, data, n, o));
        } else {
            if (n < 16 || *blocks == MOST_BLOCKS) return not_plain(w, p, "a continuation that is cut off");
            more[(*blocks)++] = (block){get8(data), get8(data + 8)};
        }
        p += 8 + n;
    }
    return AP_OK;
}

static ap_status read_header(walk *w, uint64_t at, object *o) {
    block blocks[MOST_BLOCKS];
    size_t n = 1;
    unsigned messages = 0;
    *o = (object){0};
    if (!lies_in(w, at, 16) || w->base[at] != 1) return not_plain(w, at, "no object header version 1");
    blocks[0] = (block){at + 16, get(w->base + at + 8, 4)};
    for (size_t i = 0; i < n; i++) AP_TRY(check_block(w, blocks[i], &messages, blocks, &n, o));
    if (messages != get(w->base + at + 2, 2)) return not_plain(w, at, "another number of messages than stated");
    return AP_OK;
}

static ap_status check_data_set(const walk *w, uint64_t at, const object *o) {
    size_t bytes;
    if (!o->has_type || !o->has_space || !o->has_layout || o->type.variable)
        return not_plain(w, at, "neither a group nor a data set of numbers or texts of fixed length");
    if (!ap_size_mul(o->points, o->type.size, &bytes) || bytes != o->bytes)
        return not_plain(w, at, "a data set of another size than its extents say");
    if (bytes && (o->address == undefined || !lies_in(w, o->address, bytes)))
        return not_plain(w, at, "a data set that does not lie in the file");
    return AP_OK;
}

/* ---- groups */

static ap_status check_object(walk *w, uint64_t at, int depth, object *o);

/* The local heap with a group's names; *names, *bytes: its segment. */
static ap_status check_heap(walk *w, uint64_t at, const uint8_t **names, uint64_t *bytes) {
    AP_TRY(need_block(w, at, "HEAP", HEAP_HEADER, "no local heap"));
    uint64_t segment = get8(w->base + at + 24), free_at = get8(w->base + at + 16);
    *bytes = get8(w->base + at + 8);
    if (w->base[at + 4] || !lies_in(w, segment, *bytes))
        return not_plain(w, at, "a local heap that does not lie in the file");
    *names = w->base + segment;
    while (free_at != 1) { /* 1: the end of the free list */
        if (free_at % 8 || free_at > *bytes || *bytes - free_at < 16)
            return not_plain(w, at, "a free list that leads out");
        uint64_t room = get8(*names + free_at + 8);
        if (room < 16 || room > *bytes - free_at) return not_plain(w, at, "a free list that leads out");
        if (!pay(w, 1)) return not_plain(w, at, "a free list without an end");
        free_at = get8(*names + free_at);
    }
    return AP_OK;
}

typedef struct table {
    const uint8_t *names;
    uint64_t bytes;
    int depth;
} table;

static ap_status check_entry(walk *w, const table *t, const uint8_t *entry) {
    uint64_t name = get8(entry), header = get8(entry + 8), cached = get(entry + 16, 4),
             at = (uint64_t)(entry - w->base);
    object o;
    if (name >= t->bytes || !memchr(t->names + name, 0, t->bytes - name))
        return not_plain(w, at, "a name without an end");
    if (!t->names[name] || strchr((const char *)t->names + name, '/')) return not_plain(w, at, "an impossible name");
    if (cached > 1) return not_plain(w, at, "a link that is not hard");
    AP_TRY(check_object(w, header, t->depth + 1, &o));
    if (cached == 1 && (!o.has_table || get8(entry + 24) != o.tree || get8(entry + 32) != o.heap))
        return not_plain(w, at, "a link to a group that says otherwise");
    return AP_OK;
}

static ap_status check_leaf(walk *w, const table *t, uint64_t at) {
    AP_TRY(need_block(w, at, "SNOD", LEAF, "no node of a symbol table"));
    uint64_t n = get(w->base + at + 6, 2);
    if (w->base[at + 4] != 1 || n > 2 * LEAF_K) return not_plain(w, at, "too many links in a node");
    for (uint64_t i = 0; i < n; i++) AP_TRY(check_entry(w, t, w->base + at + 8 + LEAF_ENTRY * i));
    return AP_OK;
}

/* `level` < 0: the root, of any level. */
static ap_status check_node(walk *w, const table *t, uint64_t at, int level) {
    AP_TRY(need_block(w, at, "TREE", NODE, "no node of a tree"));
    const uint8_t *p = w->base + at;
    uint64_t n = get(p + 6, 2);
    if (p[4] || n > 2 * NODE_K || (level >= 0 ? p[5] != level : p[5] > DEEPEST))
        return not_plain(w, at, "an impossible node of a tree");
    for (int side = 0; side < 2; side++) {
        uint64_t sibling = get8(p + 8 + 8 * side);
        if (sibling != undefined) AP_TRY(need_block(w, sibling, "TREE", NODE, "no node of a tree"));
    }
    for (uint64_t i = 0; i <= n; i++)
        if (get8(p + 24 + 16 * i) >= t->bytes && n) return not_plain(w, at, "a key that is no name");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t child = get8(p + 32 + 16 * i);
        AP_TRY(p[5] ? check_node(w, t, child, p[5] - 1) : check_leaf(w, t, child));
    }
    return AP_OK;
}

static ap_status check_object(walk *w, uint64_t at, int depth, object *o) {
    if (depth > DEEPEST) return not_plain(w, at, "groups too deep below each other");
    AP_TRY(read_header(w, at, o));
    if (!o->has_table) return check_data_set(w, at, o);
    if (o->has_type || o->has_space || o->has_layout) return not_plain(w, at, "a group that is a data set too");
    table t = {.depth = depth};
    AP_TRY(check_heap(w, o->heap, &t.names, &t.bytes));
    return check_node(w, &t, o->tree, -1);
}

/* ---- the file */

static ap_status check_superblock(walk *w, size_t start) {
    static const uint8_t fixed[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a,   '\n', 0,      0,
                                    0,    0,   0,   8,   8,    0,    LEAF_K, 0,    NODE_K, 0};
    const uint8_t *p = w->base;
    object root;
    if (w->size < SUPERBLOCK || memcmp(p, fixed, sizeof fixed)) return not_plain(w, 0, "no superblock version 0");
    if (get(p + 20, 4) || get8(p + 24) != start || get8(p + 32) != undefined || get8(p + 48) != undefined)
        return not_plain(w, 20, "an unknown superblock");
    if (get8(p + 40) != w->size + start) return not_plain(w, 40, "another end of file");
    if (get(p + 72, 4) > 1) return not_plain(w, 72, "a root that is a link");
    AP_TRY(check_object(w, get8(p + 64), 0, &root));
    if (!root.has_table) return not_plain(w, 64, "a root that is no group");
    if (get(p + 72, 4) == 1 && (get8(p + 80) != root.tree || get8(p + 88) != root.heap))
        return not_plain(w, 80, "a root that says otherwise");
    return AP_OK;
}

ap_status ap_h5_check_structure(int fd, const char *path, size_t start, ap_error *error) {
    struct stat info;
    if (fstat(fd, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    size_t size = (size_t)info.st_size;
    if (size <= start) return ap_fail(error, AP_DATA, "%s: has no HDF5 part", path);
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return ap_fail_errno(error, AP_IO, "%s: cannot be mapped", path);
    walk w = {.base = (const uint8_t *)map + start,
              .size = size - start,
              .budget = 16 * (uint64_t)size + (1 << 20),
              .path = path,
              .error = error};
    ap_status status = check_superblock(&w, start);
    munmap(map, size);
    return status;
}
