/* Molecules for ogbg without data: atoms grown into chains, branches and rings within their valences, and labels that
 * say which substructures are in them.
 *
 * A substructure is a path of four atoms, each of a kind: task t < 12 is one of twelve paths that chemists would know;
 * a task from 12 on is one of these without another. No sum over atoms tells them, a network has to pass messages over
 * three bonds. One label in 33 is wrong, one in 5 is missing. Integer arithmetic on Philox draws only: the same bytes
 * on every machine. About 10 us a molecule. */
#include "workloads/ogbg/ogbg.h"

#include "base/random.h"

#include <string.h>

enum { MOST_ATOMS = 48, MOST_BONDS = 60, MOST_NEIGHBOURS = 4, LABEL_DRAWS = 4096 };
enum { SINGLE, DOUBLE, TRIPLE, AROMATIC };

typedef struct atom {
    int element; /* atomic number */
    int free;    /* valences not used: hydrogens */
    bool ring, aromatic;
    int doubles; /* double bonds */
    int neighbours, neighbour[MOST_NEIGHBOURS], bond[MOST_NEIGHBOURS];
} atom;

typedef struct molecule {
    ap_random stream;
    uint64_t next;
    int atoms, bonds;
    atom atom[MOST_ATOMS];
    int link[MOST_BONDS][2], order[MOST_BONDS];
} molecule;

/* Uniform in [0, n). */
static int draw(molecule *m, int n) {
    return (int)((uint64_t)ap_random_bits(&m->stream, m->next++) * (uint64_t)n >> 32);
}

/* ---- growing */

static int valence(int element) {
    switch (element) {
    case 6: return 4;
    case 7: return 3;
    case 8:
    case 16: return 2;
    default: return 1; /* F, Cl, Br */
    }
}

static int draw_element(molecule *m) {
    static const int elements[20] = {6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 8, 8, 8, 16, 9, 17};
    return elements[draw(m, 20)];
}

static int add_atom(molecule *m, int element) {
    m->atom[m->atoms] = (atom){.element = element, .free = valence(element)};
    return m->atoms++;
}

static void join(molecule *m, int a, int b, int order) {
    const int ends[2] = {a, b}, uses = order == DOUBLE ? 2 : order == TRIPLE ? 3 : 1;
    for (int e = 0; e < 2; e++) {
        atom *at = &m->atom[ends[e]];
        at->neighbour[at->neighbours] = ends[1 - e];
        at->bond[at->neighbours++] = order;
        at->free -= uses;
        at->doubles += order == DOUBLE;
    }
    m->link[m->bonds][0] = a, m->link[m->bonds][1] = b;
    m->order[m->bonds++] = order;
}

/* An atom with room for another bond; -1: none. */
static int open_atom(molecule *m, int first) {
    int open[MOST_ATOMS], n = 0;
    for (int i = first; i < m->atoms; i++)
        if (m->atom[i].free > 0 && m->atom[i].neighbours < MOST_NEIGHBOURS) open[n++] = i;
    return n ? open[draw(m, n)] : -1;
}

/* A ring of 5 (saturated) or 6 (aromatic), with its first atom a carbon. */
static int add_ring(molecule *m) {
    const bool aromatic = draw(m, 3) > 0;
    const int size = aromatic ? 6 : 5, first = m->atoms;
    for (int i = 0; i < size; i++) {
        const int element = i == 0 || draw(m, 6) > 0 ? 6 : aromatic || draw(m, 2) ? 7 : 8;
        atom *a = &m->atom[add_atom(m, element)];
        a->ring = true, a->aromatic = aromatic;
        if (aromatic) a->free--; /* its electron in the ring */
    }
    for (int i = 0; i < size; i++) join(m, first + i, first + (i + 1) % size, aromatic ? AROMATIC : SINGLE);
    return first;
}

static void grow(molecule *m) {
    const int wanted = draw(m, 100) ? 14 + draw(m, 23) : 1; /* one in a hundred is a lone atom */
    if (wanted > 1 && draw(m, 3))
        add_ring(m);
    else
        add_atom(m, 6);
    while (m->atoms < wanted) {
        const int at = open_atom(m, 0), kind = draw(m, 8);
        if (at < 0) break;
        if (kind == 0) {
            const int first = m->atoms;
            add_ring(m);
            join(m, at, open_atom(m, first), SINGLE);
            continue;
        }
        const int added = add_atom(m, draw_element(m));
        const bool twice = m->atom[at].free > 1 && !m->atom[at].doubles && m->atom[added].free > 1;
        join(m, at, added, twice && draw(m, 3) == 0 ? DOUBLE : SINGLE);
    }
}

/* ---- substructures */

enum { ANY, CARBON, NITROGEN, OXYGEN, SULFUR, HALOGEN, IN_AROMATIC, IN_RING, CHAIN, OXO, END, KINDS };

static bool is_kind(const atom *a, int kind) {
    switch (kind) {
    case CARBON: return a->element == 6;
    case NITROGEN: return a->element == 7;
    case OXYGEN: return a->element == 8;
    case SULFUR: return a->element == 16;
    case HALOGEN: return a->element == 9 || a->element == 17;
    case IN_AROMATIC: return a->aromatic;
    case IN_RING: return a->ring && !a->aromatic;
    case CHAIN: return a->element == 6 && !a->ring;
    case OXO: return a->element == 8 && a->doubles;
    case END: return a->neighbours == 1;
    default: return true;
    }
}

enum { PATHS = 12, LENGTH = 4 };
static const int paths[PATHS][LENGTH] = {
    {OXO, CARBON, NITROGEN, ANY},             /* an amide */
    {OXO, CARBON, OXYGEN, ANY},               /* an ester */
    {HALOGEN, IN_AROMATIC, IN_AROMATIC, ANY}, /* an aryl halide */
    {NITROGEN, CHAIN, CHAIN, NITROGEN},
    {IN_AROMATIC, CHAIN, CHAIN, OXYGEN},
    {IN_AROMATIC, NITROGEN, CARBON, CARBON},
    {IN_RING, CHAIN, CHAIN, ANY},
    {OXO, CHAIN, IN_AROMATIC, IN_AROMATIC},
    {IN_AROMATIC, OXYGEN, CARBON, ANY}, /* an ether on a ring */
    {CHAIN, SULFUR, CARBON, ANY},
    {HALOGEN, CHAIN, CHAIN, CHAIN},
    {NITROGEN, IN_AROMATIC, NITROGEN, ANY},
};

static bool ends_fit(const molecule *m, int from, int over, int kind) {
    const atom *a = &m->atom[from];
    for (int i = 0; i < a->neighbours; i++)
        if (a->neighbour[i] != over && is_kind(&m->atom[a->neighbour[i]], kind)) return true;
    return false;
}

/* Whether four atoms in a row are of these kinds; the first and the last may be one (a ring of three: there is none).
 */
static bool has_path(const molecule *m, const int kinds[LENGTH]) {
    for (int b = 0; b < m->bonds; b++)
        for (int turn = 0; turn < 2; turn++) {
            const int u = m->link[b][turn], v = m->link[b][1 - turn];
            if (!is_kind(&m->atom[u], kinds[1]) || !is_kind(&m->atom[v], kinds[2])) continue;
            if (ends_fit(m, u, v, kinds[0]) && (kinds[3] == ANY || ends_fit(m, v, u, kinds[3]))) return true;
        }
    return false;
}

/* has: which of the paths a molecule has */
static bool label_of(const bool has[PATHS], int64_t task) {
    const int first = (int)(task % PATHS), other = (int)((first + 1 + task / PATHS) % PATHS);
    return has[first] && (task < PATHS || other == first || !has[other]);
}

/* ---- features, as OGB numbers them */

static void put_atom(const atom *a, uint8_t *f) {
    f[0] = (uint8_t)(a->element - 1);
    f[1] = 0;                                  /* chirality */
    f[2] = (uint8_t)(a->neighbours + a->free); /* degree, hydrogens included */
    f[3] = 5;                                  /* charge 0 */
    f[4] = (uint8_t)a->free;
    f[5] = 0;                                                      /* radicals */
    f[6] = a->doubles > 1 ? 0 : a->doubles || a->aromatic ? 1 : 2; /* sp, sp2, sp3 */
    f[7] = a->aromatic, f[8] = a->ring;
}

static bool is_conjugated(const molecule *m, int b) {
    if (m->order[b] == AROMATIC) return true;
    const atom *u = &m->atom[m->link[b][0]], *v = &m->atom[m->link[b][1]];
    return m->order[b] == SINGLE && (u->doubles || u->aromatic) && (v->doubles || v->aromatic);
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const int64_t tasks = ((const ap_ogbg_model *)model)->num_outputs;
    molecule m = {.stream = ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split)};
    grow(&m);
    const int64_t lengths[AP_OGBG_FIELDS] = {m.atoms, m.bonds, m.bonds, tasks};
    AP_TRY(ap_example_reserve(example, AP_OGBG_FIELDS, ap_ogbg_generator.field, lengths, error));
    uint8_t *nodes = example->data[AP_OGBG_NODES], *edges = example->data[AP_OGBG_EDGES],
            *labels = example->data[AP_OGBG_LABELS];
    int32_t *links = example->data[AP_OGBG_LINKS];
    for (int i = 0; i < m.atoms; i++) put_atom(&m.atom[i], nodes + i * AP_OGBG_NODE_FEATURES);
    for (int b = 0; b < m.bonds; b++) {
        uint8_t *f = edges + b * AP_OGBG_EDGE_FEATURES;
        f[0] = (uint8_t)m.order[b], f[1] = 0, f[2] = is_conjugated(&m, b);
        links[2 * b] = m.link[b][0], links[2 * b + 1] = m.link[b][1];
    }
    bool has[PATHS];
    for (int p = 0; p < PATHS; p++) has[p] = has_path(&m, paths[p]);
    m.next = LABEL_DRAWS;
    for (int64_t t = 0; t < tasks; t++) {
        const bool wrong = draw(&m, 33) == 0, missing = draw(&m, 5) == 0;
        labels[t] = missing ? AP_OGBG_MISSING : label_of(has, t) != wrong;
    }
    return AP_OK;
}

const ap_generator ap_ogbg_generator = {
    .name = "synthetic", .fields = AP_OGBG_FIELDS, .field = AP_OGBG_FIELD_LIST, .generate = generate};
