/* LibriSpeech's folders (Panayotov et al., ICASSP 2015): SPLIT/SPEAKER/CHAPTER/ with SPEAKER-CHAPTER-UTTERANCE.flac and
 * SPEAKER-CHAPTER.trans.txt, a line an utterance: its id, a space, its words. Not collective. */
#ifndef AP_SPEECH_CHAPTERS_H
#define AP_SPEECH_CHAPTERS_H

#include "base/digest.h"
#include "base/file.h"
#include "data/dataset.h"

typedef struct ap_chapter {
    ap_split split;
    int folder;              /* which of the split's folders, from 0 on */
    char *path, *short_path; /* .../train-clean-100/103/1240, and that without the folder in front */
    char *prefix;            /* 103-1240 */
    int64_t bytes, stamp;    /* of its files: sum; latest time of change, ns since 1970 */
} ap_chapter;

typedef struct ap_chapters {
    ap_chapter *chapter; /* by split; within it by folder, speaker, chapter, names in order of their bytes */
    int64_t count, room;
    bool published, complete; /* LibriSpeech's own folder names, not train, valid, test; all six of them */
    ap_digest_stream *digest; /* of the names and sizes of all files */
} ap_chapters;
/* Lists the folder. AP_IO: it has neither the one nor the other layout. AP_DATA: a split has no chapter; one chapter is
 * there twice. */
ap_status ap_chapters_list(const char *folder, ap_chapters *chapters, ap_error *error);
void ap_chapters_free(ap_chapters *chapters);

/* The utterances of a chapter: what its transcript says, and its sound. */
typedef struct ap_utterance {
    const char *id, *text; /* text: trimmed; both may be empty */
    int64_t line;          /* of the transcript, from 1 on; 0: sound without a line */
    bool has_sound;        /* there is ID.flac */
    bool has_nul;          /* the line has a byte 0, at which id or text ends here */
} ap_utterance;
typedef struct ap_transcript {
    ap_utterance *utterance; /* lines in their order, then what has sound only, by name */
    int64_t count;
    char path[AP_PATH]; /* of the transcript, which may be missing */
    char *memory;       /* private */
} ap_transcript;
ap_status ap_transcript_read(const ap_chapter *chapter, ap_transcript *transcript, ap_error *error);
void ap_transcript_free(ap_transcript *transcript);
/* AP_DATA, with file, line and rule, unless utterance `index` is one: id, words and sound, and no second of that id. */
ap_status ap_transcript_check(const ap_chapter *chapter, const ap_transcript *transcript, int64_t index,
                              ap_error *error);

#endif
