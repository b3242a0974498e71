#include "harness/scaling_model.h"

double ap_link_time(const ap_link *link, double bytes) {
    int i = 0;
    while (i < link->n && link->bytes[i] < bytes) i++;
    if (i == 0) return link->seconds[0];
    if (i == link->n) return bytes / ap_link_rate(link);
    double share = (bytes - link->bytes[i - 1]) / (link->bytes[i] - link->bytes[i - 1]);
    return link->seconds[i - 1] + share * (link->seconds[i] - link->seconds[i - 1]);
}

double ap_link_latency(const ap_link *link) {
    return link->seconds[0];
}

double ap_link_rate(const ap_link *link) {
    return link->bytes[link->n - 1] / link->seconds[link->n - 1];
}

ap_link ap_link_of(double latency_s, double rate) {
    const double large = 1 << 30;
    return (ap_link){.n = 2, .bytes = {0, large}, .seconds = {latency_s, latency_s + large / rate}};
}

/* One bucket through all stages. */
static double bucket_time(const ap_scaling_input *input, int ranks, double bytes) {
    double total = 0;
    for (int d = 1; d < ranks; d *= 2) {
        const ap_link *link = 2 * d <= input->ranks_per_host ? &input->near : &input->far;
        bytes /= 2;
        total += 2 * ap_link_time(link, bytes);
    }
    return total;
}

static double small_messages(const ap_scaling_input *input, int ranks) {
    enum { EACH_STEP = 2 }; /* the sum of losses and counts, the agreement */
    double total = 0;
    for (int d = 1; d < ranks; d *= 2)
        total += EACH_STEP * ap_link_latency(2 * d <= input->ranks_per_host ? &input->near : &input->far);
    return total;
}

static ap_scaling_prediction predict(const ap_scaling_input *input, int ranks, double shards_a_rank, double shard_s,
                                     double data_s) {
    ap_scaling_prediction p = {.passes_s = shards_a_rank * shard_s};
    if (ranks > 1) {
        double window = input->backward_share * shard_s;
        double last = bucket_time(input, ranks, input->last_bucket_bytes), rest = 0;
        if (input->buckets > 1)
            rest = (input->buckets - 1) *
                   bucket_time(input, ranks, (input->gradient_bytes - input->last_bucket_bytes) / (input->buckets - 1));
        p.sum_s = last + rest;
        p.exposed_s = last + (rest > window ? rest - window : 0);
        p.small_s = small_messages(input, ranks);
        p.bytes_sent = ap_scaling_bound(input->gradient_bytes, ranks);
    }
    p.step_s = p.passes_s + p.exposed_s + p.small_s + input->update_s + data_s;
    return p;
}

ap_scaling_prediction ap_scaling_predict(const ap_scaling_input *input, int ranks) {
    double all = input->shards * input->shard_s;
    int shards = ranks > input->shards ? ranks : input->shards;
    return predict(input, ranks, (double)shards / ranks, all / shards, input->data_s / ranks);
}

ap_scaling_prediction ap_scaling_predict_weak(const ap_scaling_input *input, int ranks) {
    return predict(input, ranks, input->shards, input->shard_s, input->data_s);
}

double ap_scaling_bound(double bytes, int ranks) {
    return 2.0 * (ranks - 1) / ranks * bytes;
}
