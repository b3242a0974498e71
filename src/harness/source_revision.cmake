# Writes OUTPUT, a header that defines AP_SOURCE_REVISION as what git says of the source folder SOURCE. Without a
# repository there (a release archive), or without git, it is "unknown". OUTPUT is touched only when the text changes.
cmake_minimum_required(VERSION 3.25)
set(failed TRUE)
if(EXISTS ${SOURCE}/.git)
  execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
    OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
endif()
if(failed OR NOT revision)
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define AP_SOURCE_REVISION \"@revision@\"\n" @ONLY)
