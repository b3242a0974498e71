#include "harness/ruleset.h"

#include <string.h>

double ap_rules_self_tuning_factor(ap_rules rules) {
    return rules == AP_RULES_V05 ? 3 : 1.5;
}

/* AlgoPerf v0.5 (2024): external tuning. Variants have their base workload's. */
static const struct {
    const char *workload;
    double max_runtime_s;
    int64_t step_hint;
} v05[] = {
    {"criteo1tb", 7703, 10666},
    {"fastmri", 8859, 36189},
    {"imagenet_resnet", 63008, 186666},
    {"imagenet_vit", 77520, 186666},
    {"librispeech_conformer", 61068, 80000},
    {"librispeech_deepspeech", 55506, 48000},
    {"ogbg", 18477, 80000},
    {"wmt", 48151, 133333},
};

void ap_rules_apply(ap_rules rules, ap_problem *problem) {
    if (rules != AP_RULES_V05 || strcmp(problem->scale.name, "full") != 0) return;
    for (size_t i = 0; i < sizeof v05 / sizeof *v05; i++)
        if (!strcmp(v05[i].workload, problem->workload->name)) {
            problem->scale.max_runtime_s = v05[i].max_runtime_s;
            problem->scale.step_hint = v05[i].step_hint;
        }
}
