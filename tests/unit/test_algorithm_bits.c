/* The same bits of every algorithm from every instruction set that the rules' kernels are compiled for: this program
 * prints a digest of each; as the test (PROGRAMS is set) it runs the programs that were compiled for one set each and
 * compares. */
#include "algorithm_problem.h"
#include <stdbool.h>

static uint64_t digest_of(const ap_solo *solo) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (int p = 0; p < PARAMS; p++) {
        const unsigned char *bytes = (const unsigned char *)ap_solo_value(solo, p);
        for (size_t i = 0; i < (size_t)infos[p].size * sizeof(float); i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

static void print_digest(const ap_submission *a, const char *what, const ap_point *point) {
    ap_solo *solo = solo_with(point);
    init(solo, a);
    run(solo, a, 7);
    printf("%s%s %016llx\n", a->name, what, (unsigned long long)digest_of(solo));
    ap_solo_destroy(solo);
}

/* Every point of its list, since points choose kernels (roots, styles); the first also clipped. Shampoo's at full block
 * size would take minutes. */
static void print_digests(const ap_submission *a) {
    ap_point own = own_point(a);
    print_digest(a, "", &own);
    set(&own, "grad_clip", 0.5);
    if (strcmp(a->name, "amos") != 0) print_digest(a, " clipped", &own);
    ap_point_free(&own);
    ap_points points = {0};
    ap_error error;
    int most = a->search_space && **a->search_space == '[' && strcmp(a->name, "shampoo_submission") != 0 ? 5 : 0;
    if (most && ap_search_space_draw(*a->search_space, a->name, most, &points, &error)) most = 2;
    for (int i = 1; i < points.n; i++) {
        char what[20];
        snprintf(what, sizeof what, " point %d", i + 1);
        print_digest(a, what, &points.point[i]);
    }
    ap_points_free(&points);
}

static char *output_of(const char *program) {
    char command[2000], *text = calloc(1, 1 << 16);
    snprintf(command, sizeof command, "env -u PROGRAMS '%s'", program);
    FILE *pipe = popen(command, "r");
    size_t n = pipe ? fread(text, 1, (1 << 16) - 1, pipe) : 0;
    CHECK(pipe && pclose(pipe) == 0 && n > 0);
    return text;
}

static bool runs_here(const char *program) {
    __builtin_cpu_init();
    if (strstr(program, "_avx512f")) return __builtin_cpu_supports("avx512f");
    return !strstr(program, "_avx2") || __builtin_cpu_supports("avx2");
}

static void compare(const char *list) {
    char *names = strdup(list), *rest = names, *first = NULL;
    for (char *program; (program = strsep(&rest, ","));) {
        if (!runs_here(program)) {
            printf("this CPU cannot run %s\n", program);
            continue;
        }
        char *text = output_of(program);
        if (first && strcmp(first, text) != 0) {
            printf("%s prints other bits:\n%s\nexpected:\n%s\n", program, text, first);
            ap_check_failures++;
        }
        if (first)
            free(text);
        else
            first = text;
    }
    free(first);
    free(names);
}

static void test_bits(void) {
    const char *list = getenv("PROGRAMS");
    if (list) {
        compare(list);
        return;
    }
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) print_digests(*a);
}

AP_TEST_MAIN(test_bits)
