#include "base/clock.h"

void ap_clock_utc(char text[24]) {
    time_t now = time(NULL);
    struct tm utc;
    if (!gmtime_r(&now, &utc) || !strftime(text, 24, "%Y-%m-%dT%H:%M:%SZ", &utc)) text[0] = '\0';
}
