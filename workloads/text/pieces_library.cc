#include "workloads/text/pieces.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <string>
#include <vector>

struct ap_pieces {
    sentencepiece::SentencePieceProcessor processor;
};

namespace {

/* The lines of a text. */
class Lines : public sentencepiece::SentenceIterator {
  public:
    Lines(const char *text, int64_t bytes) : at_(text), end_(text + bytes) {
        Next();
    }
    bool done() const override {
        return done_;
    }
    void Next() override {
        const void *found = at_ < end_ ? memchr(at_, '\n', static_cast<size_t>(end_ - at_)) : nullptr;
        done_ = found == nullptr;
        if (done_) return;
        const char *stop = static_cast<const char *>(found);
        line_.assign(at_, stop);
        at_ = stop + 1;
    }
    const std::string &value() const override {
        return line_;
    }
    sentencepiece::util::Status status() const override {
        return {};
    }

  private:
    const char *at_, *end_;
    std::string line_;
    bool done_ = false;
};

ap_status train(const char *text, int64_t bytes, int64_t vocabulary, ap_pieces **result, ap_error *error) {
    Lines lines(text, bytes);
    std::string model;
    const auto trained = sentencepiece::SentencePieceTrainer::Train({{"model_type", "unigram"},
                                                                     {"vocab_size", std::to_string(vocabulary)},
                                                                     {"hard_vocab_limit", "false"},
                                                                     {"character_coverage", "1.0"},
                                                                     {"num_threads", "1"},
                                                                     {"minloglevel", "2"}},
                                                                    &lines, &model);
    if (!trained.ok())
        return ap_fail(error, AP_DATA, "SentencePiece could not train %lld pieces on %lld bytes of text: %s",
                       static_cast<long long>(vocabulary), static_cast<long long>(bytes), trained.ToString().c_str());
    auto *pieces = new ap_pieces;
    const auto loaded = pieces->processor.LoadFromSerializedProto(model);
    if (loaded.ok()) {
        *result = pieces;
        return AP_OK;
    }
    delete pieces;
    return ap_fail(error, AP_ENVIRONMENT, "SentencePiece: %s", loaded.ToString().c_str());
}

} // namespace

extern "C" {

bool ap_pieces_available(void) {
    return true;
}

ap_status ap_pieces_train(const char *text, int64_t bytes, int64_t vocabulary, ap_pieces **pieces, ap_error *error) {
    try {
        return train(text, bytes, vocabulary, pieces, error);
    } catch (const std::exception &e) {
        return ap_fail(error, AP_ENVIRONMENT, "SentencePiece: %s", e.what());
    }
}

ap_status ap_pieces_load(const char *path, ap_pieces **result, ap_error *error) {
    try {
        auto pieces = std::make_unique<ap_pieces>();
        const auto &p = pieces->processor;
        const auto loaded = pieces->processor.Load(path);
        if (!loaded.ok())
            return ap_fail(error, AP_DATA, "%s: is no SentencePiece model: %s", path, loaded.ToString().c_str());
        if (p.unk_id() != 0 || p.bos_id() != 1 || p.eos_id() != 2)
            return ap_fail(error, AP_DATA,
                           "%s: has unknown, beginning and end of sentence as pieces %d, %d, %d (0, 1, 2 are expected: "
                           "train it with the defaults --unk_id=0 --bos_id=1 --eos_id=2)",
                           path, p.unk_id(), p.bos_id(), p.eos_id());
        *result = pieces.release();
        return AP_OK;
    } catch (const std::exception &e) {
        return ap_fail(error, AP_ENVIRONMENT, "%s: SentencePiece: %s", path, e.what());
    }
}

void ap_pieces_free(ap_pieces *pieces) {
    delete pieces;
}

char *ap_pieces_list(const ap_pieces *pieces) {
    try {
        std::string list;
        for (int i = 0; i < pieces->processor.GetPieceSize(); i++) list += pieces->processor.IdToPiece(i) + "\n";
        return strdup(list.c_str());
    } catch (const std::exception &) {
        return nullptr;
    }
}

int64_t ap_pieces_cut(const ap_pieces *pieces, const char *line, int64_t bytes, int32_t **ids, int64_t *room) {
    try {
        std::vector<int> found;
        if (!pieces->processor.Encode(absl::string_view(line, static_cast<size_t>(bytes)), &found).ok()) return -1;
        const auto n = static_cast<int64_t>(found.size());
        if (n > *room || !*ids) {
            void *grown = realloc(*ids, static_cast<size_t>(2 * n + 16) * sizeof **ids);
            if (!grown) return -1;
            *ids = static_cast<int32_t *>(grown), *room = 2 * n + 16;
        }
        for (int64_t i = 0; i < n; i++) (*ids)[i] = found[static_cast<size_t>(i)];
        return n;
    } catch (const std::exception &) {
        return -1;
    }
}

} // extern "C"
