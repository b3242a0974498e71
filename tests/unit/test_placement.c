/* Groups of ranks: inside hosts where they fit. */
#include "check.h"

#include "harness/placement.h"

#include <string.h>

/* hosts: one letter a rank. groups: one digit a rank. */
static void check_place(const char *hosts, int per, const char *groups) {
    uint64_t host[64] = {0};
    int group[64], n = (int)strlen(hosts);
    char seen[65] = "";
    for (int r = 0; r < n; r++) host[r] = (uint64_t)hosts[r] * 0x9e3779b97f4a7c15u; /* not in order */
    CHECK_INT(ap_place_ranks(n, host, per, group, NULL), AP_OK);
    for (int r = 0; r < n; r++) seen[r] = (char)('0' + group[r]);
    if (strcmp(seen, groups)) printf("%s by %d: %s, expected %s\n", hosts, per, seen, groups);
    CHECK(!strcmp(seen, groups));
}

static void test_one_host(void) {
    check_place("a", 1, "0");
    check_place("aaaaaaaa", 4, "00001111");
    check_place("aaaaaaaa", 8, "00000000");
}

static void test_hosts_that_fit(void) {
    check_place("aaaabbbb", 2, "00112233");
    check_place("aaaabbbb", 4, "00001111");
    check_place("bbbbaaaa", 4, "00001111"); /* in the order of ranks, not of names */
}

static void test_ranks_dealt_round_robin(void) {
    check_place("abababab", 4, "01010101");
    check_place("abab", 2, "0101");
    check_place("abcabcabcabc", 2, "024024135135");
}

/* Whole groups inside hosts first: neighbours in rank order would have cut both hosts' groups. */
static void test_left_over_ranks_form_the_last_groups(void) {
    check_place("aaabbb", 2, "002112");
    check_place("aaabbbbbc", 3, "000111222");
    check_place("abbbbb", 2, "200112");
    check_place("aaaaaabbbbbb", 4, "000022111122");
}

static void test_groups_larger_than_a_host(void) {
    check_place("aabbccdd", 4, "00001111");
    check_place("abcdabcd", 4, "00110011");
    check_place("abcdabcd", 8, "00000000");
}

AP_TEST_MAIN(test_one_host, test_hosts_that_fit, test_ranks_dealt_round_robin,
             test_left_over_ranks_form_the_last_groups, test_groups_larger_than_a_host)
