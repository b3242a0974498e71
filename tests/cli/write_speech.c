/* write_speech FOLDER: a small folder of LibriSpeech's form, for the tests that prepare and train on one. */
#include "speech_folder.h"

int main(int argc, char **argv) {
#ifdef AP_HAVE_FLAC
    if (argc != 2) return 2;
    bool fine = true;
    for (int chapter = 0; chapter < 12; chapter++) {
        const char *const split = chapter < 8 ? "train" : chapter < 10 ? "valid" : "test";
        fine = fine && speech_write_chapter(argv[1], split, 1 + chapter % 3, chapter, 4, chapter % 2 ? 16000 : 8000);
    }
    return fine ? 0 : 1;
#else
    (void)argc, (void)argv;
    return 77;
#endif
}
