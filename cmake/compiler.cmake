# C17, strict warnings, and the two flags that the bitwise promise rests on: no contraction, no fast-math.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # gnu17: POSIX, statement attributes, vector intrinsics
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1") # no NDEBUG: assertions state our own invariants and stay
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

add_library(ap_options INTERFACE)
target_compile_definitions(ap_options INTERFACE _GNU_SOURCE)
target_compile_options(ap_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -ffp-contract=off
                       -fno-math-errno -fno-trapping-math -fvisibility=hidden -fPIC)
target_include_directories(ap_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(ap_options INTERFACE m)
if(ALGOPERF_SANITIZE)
  target_compile_options(ap_options INTERFACE -fsanitize=${ALGOPERF_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(ap_options INTERFACE -fsanitize=${ALGOPERF_SANITIZE})
endif()
if(ALGOPERF_FUZZ)
  target_compile_options(ap_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# ap_layer(NAME SOURCES... DEPENDS ...): a static library of one folder of src/.
function(ap_layer name)
  cmake_parse_arguments(L "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(ap_${name} STATIC ${L_SOURCES})
  target_link_libraries(ap_${name} PUBLIC ap_options ${L_DEPENDS})
endfunction()
