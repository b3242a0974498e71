#include "cli/verify_settings.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

/* ---- the point that is built */

static bool has(const ap_point *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->name[i], name)) return true;
    return false;
}

/* The first value of a name stays. Beyond MOST or out of memory: dropped, and then missed by the algorithm. */
static void add(ap_point *p, const char *name, double value, const char *text) {
    if (p->n == MOST || has(p, name)) return;
    char *copy = strdup(name), *words = text ? strdup(text) : NULL;
    if (!copy || (text && !words)) {
        free(copy);
        return;
    }
    p->name[p->n] = copy;
    p->value[p->n] = text ? NAN : value;
    p->text[p->n++] = words;
}

static void add_betas(ap_point *p, int i, double value) {
    static const char *const names[] = {"beta1", "beta2", "beta3"};
    if (i < 3) add(p, names[i], value, NULL);
}

/* ---- values that are texts */

/* The number behind `word` in a text like "AdamW lr .02 betas .9/.999 wd .1" or "f(beta2=0.99, epsilon=1e-08)". */
static bool number_after(const char *text, const char *word, double *value) {
    const char *at = strstr(text, word);
    if (!at) return false;
    at += strlen(word);
    at += strspn(at, " =");
    char *end;
    *value = strtod(at, &end);
    return end != at;
}

static void add_grafting(ap_point *p, const char *text) {
    static const char *const kinds[][2] = {{"AdamGrafting", "ADAM"},
                                           {"SGDGrafting", "SGD"},
                                           {"RMSpropGrafting", "RMSPROP"},
                                           {"AdaGradGrafting", "ADAGRAD"}};
    double value;
    const char *kind = "NONE";
    for (int i = 0; i < 4; i++)
        if (!strncmp(text, kinds[i][0], strlen(kinds[i][0]))) kind = kinds[i][1];
    add(p, "grafting_type", 0, kind);
    if (number_after(text, "beta2", &value)) add(p, "grafting_beta2", value, NULL);
    if (number_after(text, "epsilon", &value)) add(p, "grafting_epsilon", value, NULL);
}

/* Muon's other optimizer. */
static void add_pair(ap_point *p, const char *text, double rate) {
    double value;
    const char *betas = strstr(text, "betas ");
    if (betas) {
        char *end;
        add(p, "pair_beta1", strtod(betas + strlen("betas "), &end), NULL);
        if (*end == '/') add(p, "pair_beta2", strtod(end + 1, NULL), NULL);
    }
    if (number_after(text, "b1 ", &value)) add(p, "pair_beta1", value, NULL);
    if (number_after(text, "b2 ", &value)) add(p, "pair_beta2", value, NULL);
    if (number_after(text, "wd ", &value)) add(p, "pair_weight_decay", value, NULL);
    if (!strncmp(text, "NAdam", strlen("NAdam"))) add(p, "torch_nadam", 1, NULL);
    if (number_after(text, "lr ", &value) && value > 0) { /* the point's rate is the pair's */
        add(p, "muon_lr_multiplier", rate / value, NULL);
        add(p, "pair_learning_rate", value, NULL);
    }
}

static void add_text(ap_point *p, const char *key, const char *text, double rate) {
    char *end;
    double value = strtod(text, &end);
    if (*text && !*end)
        add(p, key, value, NULL);
    else if (!strcmp(text, "True") || !strcmp(text, "False"))
        add(p, key, *text == 'T', NULL);
    else if (!strcmp(key, "betas") && *text == '(')
        for (int i = 0; *text && strchr("(,", *text); i++, text = end) add_betas(p, i, strtod(text + 1, &end));
    else if (!strcmp(key, "grafting_config"))
        add_grafting(p, text);
    else if (!strcmp(key, "preconditioner_dtype"))
        add(p, "double_preconditioner", !strcmp(text, "torch.float64"), NULL);
    else if (!strcmp(key, "pair") || !strcmp(key, "vector_optimizer"))
        add_pair(p, text, rate);
    else if (strcmp(text, "None") != 0 && strcmp(key, "note") != 0)
        add(p, key, 0, text);
}

/* ---- values that are lists and objects */

static void add_object(ap_point *p, const char *key, json_t *object) {
    const char *param;
    char name[300];
    json_t *value;
    json_object_foreach(object, param, value) {
        snprintf(name, sizeof name, "%s.%s", !strcmp(key, "reduced_shapes") ? "reduced" : key, param);
        if (json_is_array(value)) add(p, name, json_array_size(value) > 0, NULL);
        if (json_is_number(value)) add(p, name, json_number_value(value), NULL);
    }
}

static const char *published_name(const char *key, const char *group) {
    static const char *const names[][2] = {{"lr", "learning_rate"}, {"eps", "epsilon"}, {"mu", "momentum"}};
    static const char *const muon[][2] = {{"beta", "muon_beta"}, {"weight_decay", "muon_weight_decay"}};
    for (int i = 0; i < 3; i++)
        if (!strcmp(names[i][0], key)) return names[i][1];
    for (int i = 0; i < 2; i++)
        if (!strncmp(group, "muon", 4) && !strcmp(muon[i][0], key)) return muon[i][1];
    return key;
}

static void add_value(ap_point *p, const char *group, const char *key, json_t *value, double rate) {
    size_t i;
    json_t *item;
    const char *name = published_name(key, group);
    if (json_is_number(value)) add(p, name, json_number_value(value), NULL);
    if (json_is_boolean(value)) add(p, name, json_is_true(value), NULL);
    if (json_is_string(value)) add_text(p, name, json_string_value(value), rate);
    if (json_is_null(value) && !strcmp(key, "adjust_lr")) add(p, key, 0, "none");
    if (json_is_object(value)) add_object(p, key, value);
    if (json_is_array(value) && !strcmp(key, "betas"))
        json_array_foreach(value, i, item) add_betas(p, (int)i, json_number_value(item));
}

/* ---- */

static void drop(ap_point *p, const char *name) {
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->name[i], name) != 0) continue;
        free(p->name[i]);
        free(p->text[i]);
        p->n--;
        p->name[i] = p->name[p->n], p->value[i] = p->value[p->n], p->text[i] = p->text[p->n];
        return;
    }
}

/* The reference's own workarounds say some things twice. */
static void finish(ap_point *p, const char *group) {
    double value;
    if (has(p, "one_minus_beta1")) drop(p, "beta1");
    if (has(p, "warmup_factor")) drop(p, "warmup_steps");
    if (!has(p, "warmup_factor")) add(p, "constant_rate", 1, NULL);
    if (strstr(group, "float32_state")) add(p, "float32_state", 1, NULL);
    add(p, "torch_cpu", 1, NULL); /* where the reference ran */
    if (!strncmp(group, "muon_torch", strlen("muon_torch")))
        add(p, "newton_schulz_bfloat16", strstr(group, "bf16") != NULL, NULL);
    if (ap_point_get(p, "momentum", &value) && !strncmp(group, "shampoo", strlen("shampoo")))
        add(p, "use_momentum", value > 0, NULL);
    if (ap_point_get(p, "pair_learning_rate", &value)) {
        drop(p, "learning_rate");
        drop(p, "pair_learning_rate");
        add(p, "learning_rate", value, NULL);
    }
}

ap_status ap_verify_settings(const char *json, const char *group, ap_point *point, ap_error *error) {
    json_error_t at;
    json_t *root = json_loads(json, 0, &at), *value;
    if (!json_is_object(root)) {
        json_decref(root);
        return ap_fail(error, AP_DATA, "attribute hyperparameters of %s: not a JSON object: %s", group, at.text);
    }
    *point = (ap_point){.name = calloc(MOST, sizeof *point->name),
                        .value = calloc(MOST, sizeof *point->value),
                        .text = calloc(MOST, sizeof *point->text)};
    if (!point->name || !point->value || !point->text) {
        ap_point_free(point);
        json_decref(root);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the hyperparameters of %s", group);
    }
    const char *name = *group == '/' ? group + 1 : group, *key;
    double rate = json_number_value(json_object_get(root, "lr"));
    json_object_foreach(root, key, value) add_value(point, name, key, value, rate);
    finish(point, name);
    json_decref(root);
    return AP_OK;
}
