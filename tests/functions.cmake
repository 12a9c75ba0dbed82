# How tests are registered. Labels: unit, mpi, np<n>, hosts<n>, script, valgrind, fuzz say what a test is; sanitize and
# thread say which sanitizer builds run it.

# Environment of everything that may start mpirun.
set(test_environment)
execute_process(COMMAND id -u OUTPUT_VARIABLE uid OUTPUT_STRIP_TRAILING_WHITESPACE)
if(uid STREQUAL "0")
  list(APPEND test_environment OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
endif()
if(MUSTER_SANITIZE STREQUAL "address")
  set(asan_options "detect_stack_use_after_return=1:strict_string_checks=1:fast_unwind_on_malloc=0:handle_segv=0:allocator_may_return_null=1")
  list(APPEND test_environment
       "ASAN_OPTIONS=${asan_options}"
       "UBSAN_OPTIONS=print_stacktrace=1"
       "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/support/lsan.supp:print_suppressions=0")
elseif(MUSTER_SANITIZE STREQUAL "thread")
  list(APPEND test_environment "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
endif()
if(MUSTER_SANITIZE)
  set(slower 3) # how many times longer tests may take
else()
  set(slower 1)
endif()

# Open MPI and MPICH name these differently.
execute_process(COMMAND ${MPIEXEC_EXECUTABLE} --version OUTPUT_VARIABLE launcher_version ERROR_QUIET)
if(launcher_version MATCHES "Open MPI|OpenRTE")
  set(launcher ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none)
else()
  set(launcher ${MPIEXEC_EXECUTABLE} -bind-to none)
endif()

set_property(GLOBAL PROPERTY muster_suites "")
set_property(GLOBAL PROPERTY muster_suites_missing "")

# Whether the suite's source is there; notes the suite for muster_check_suites.
function(muster_suite_exists source result)
  set_property(GLOBAL APPEND PROPERTY muster_suites ${source})
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    set(${result} ON PARENT_SCOPE)
  else()
    set_property(GLOBAL APPEND PROPERTY muster_suites_missing ${source})
    set(${result} OFF PARENT_SCOPE)
  endif()
endfunction()

# A suite that nobody registered would never run.
function(muster_check_suites)
  get_property(suites GLOBAL PROPERTY muster_suites)
  get_property(missing GLOBAL PROPERTY muster_suites_missing)
  file(GLOB present RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS
       unit/test_*.c mpi/test_*.c fuzz/fuzz_*.c)
  foreach(source IN LISTS present)
    if(NOT source IN_LIST suites)
      message(SEND_ERROR "tests/${source} is not registered in tests/CMakeLists.txt")
    endif()
  endforeach()
  if(missing)
    message(STATUS "Test suites not there yet: ${missing}")
  endif()
endfunction()

# The layers as archives: a test is linked to the objects that it uses, and to nothing above its layers.
function(muster_link_layers target)
  set(archives)
  foreach(layer IN LISTS ARGN)
    if(NOT TARGET layer_${layer})
      add_library(layer_${layer} STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:muster_${layer}>)
      set_target_properties(layer_${layer} PROPERTIES LINKER_LANGUAGE C
                            ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
      target_link_libraries(layer_${layer} PUBLIC Threads::Threads ${layer_libraries_${layer}})
    endif()
    list(APPEND archives layer_${layer})
  endforeach()
  target_link_libraries(${target} PRIVATE ${archives})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
endfunction()

function(muster_test_program target)
  add_executable(${target} ${ARGN})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
endfunction()

function(muster_test_properties test timeout processors)
  set_tests_properties(${test} PROPERTIES TIMEOUT ${timeout} PROCESSORS ${processors} LABELS "${ARGN}"
                       ENVIRONMENT "${test_environment}" SKIP_RETURN_CODE 77)
endfunction()

# muster_unit_test(<name> [SOURCES <more>...] [WHOLE <layer>...] [LAYERS <layer>...] [LIBRARIES <target>...]
#                  [TIMEOUT <s>] [STRUCTURE] [STEPPED])
# tests/unit/test_<name>.c; LAYERS from the highest down, of which is linked what is used; WHOLE: all of these, also what
# only registers itself; STRUCTURE: runs in the ThreadSanitizer build too; STEPPED: runs instruction by instruction, for
# which sanitizers' code is too much, and knows x86-64 alone: elsewhere it is not there.
function(muster_unit_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STRUCTURE;STEPPED" "TIMEOUT" "SOURCES;WHOLE;LAYERS;LIBRARIES")
  muster_suite_exists(unit/test_${name}.c exists)
  if(NOT exists OR (arg_STEPPED AND (MUSTER_SANITIZE OR NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")))
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  muster_test_program(unit_${name} unit/test_${name}.c ${arg_SOURCES})
  foreach(layer IN LISTS arg_WHOLE)
    target_sources(unit_${name} PRIVATE $<TARGET_OBJECTS:muster_${layer}>)
  endforeach()
  muster_link_layers(unit_${name} ${arg_LAYERS})
  target_link_libraries(unit_${name} PRIVATE ${arg_LIBRARIES} PkgConfig::CMOCKA Threads::Threads m)
  if(arg_STEPPED) # no steps of the dynamic linker's
    target_link_options(unit_${name} PRIVATE LINKER:-z,now)
    target_link_libraries(unit_${name} PRIVATE ${CMAKE_DL_LIBS})
  endif()
  add_test(NAME ${name} COMMAND unit_${name} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set(labels unit)
  if(NOT arg_STEPPED)
    list(APPEND labels sanitize)
  endif()
  if(arg_STRUCTURE)
    list(APPEND labels thread)
  endif()
  math(EXPR seconds "${arg_TIMEOUT} * ${slower}")
  muster_test_properties(${name} ${seconds} 1 ${labels})
endfunction()

# muster_mpi_test(<name> [RANKS <n>...] [HOSTS <ranks>x<hosts>...] [SOURCES <more>...] [TIMEOUT <s>])
# tests/mpi/test_<name>.c, with mpi_case_main, as <name>.np<n>, and with its ranks on several hosts as
# <name>.np<n>.hosts<h>; these hosts are this machine, several times. Its watchdogs bark first, then timeout ends the
# launcher, and last CTest ends all.
function(muster_mpi_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "RANKS;HOSTS;SOURCES")
  muster_suite_exists(mpi/test_${name}.c exists)
  if(NOT exists)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  muster_test_program(mpi_${name} mpi/test_${name}.c support/mpi_case.c ${arg_SOURCES})
  target_link_libraries(mpi_${name} PRIVATE muster::muster PkgConfig::CMOCKA Threads::Threads m)
  # names in the watchdog's backtrace
  target_link_options(mpi_${name} PRIVATE -rdynamic)
  math(EXPR watchdog "${arg_TIMEOUT} * ${slower}")
  math(EXPR end "${watchdog} + 10")
  math(EXPR last "${watchdog} + 30")
  foreach(run IN LISTS arg_RANKS arg_HOSTS)
    string(REGEX MATCH "^[0-9]+" ranks ${run})
    set(test ${name}.np${ranks})
    set(more)
    set(labels mpi np${ranks})
    if(run MATCHES "x([0-9]+)$")
      set(hosts ${CMAKE_MATCH_1})
      string(APPEND test .hosts${hosts})
      math(EXPR each "${ranks} / ${hosts}")
      set(more MUSTER_HOST_RANKS=${each})
      list(APPEND labels hosts${hosts})
    endif()
    add_test(NAME ${test} COMMAND timeout -k 10 ${end} ${launcher} -np ${ranks} $<TARGET_FILE:mpi_${name}>)
    if(ranks EQUAL 2 OR ranks EQUAL 4)
      list(APPEND labels sanitize)
    endif()
    # waits are timed: nothing else beside them
    set(processors ${ranks})
    if(ranks LESS 2)
      set(processors 2)
    endif()
    muster_test_properties(${test} ${last} ${processors} ${labels})
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT MUSTER_CASE_LIMIT_S=${watchdog} ${more})
  endforeach()
endfunction()

# muster_script_test(<name> COMMAND <script> [<argument>...] [PROCESSORS <n>] [TIMEOUT <s>] [LABELS <more>...])
# The script is named from the project's top.
function(muster_script_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT;PROCESSORS" "COMMAND;LABELS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 180)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  list(POP_FRONT arg_COMMAND script)
  add_test(NAME ${name} COMMAND bash ${PROJECT_SOURCE_DIR}/${script} ${arg_COMMAND})
  math(EXPR seconds "${arg_TIMEOUT} * ${slower}")
  muster_test_properties(${name} ${seconds} ${arg_PROCESSORS} script ${arg_LABELS})
  if(MUSTER_SANITIZE STREQUAL "address") # programs' leaks are valgrind's affair: Open MPI unloads who leaked there
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "ASAN_OPTIONS=${asan_options}:detect_leaks=0")
  endif()
endfunction()

# muster_valgrind_test(<program>): memcheck finds nothing in it on two ranks, leaks included.
function(muster_valgrind_test program)
  find_program(VALGRIND valgrind)
  if(NOT VALGRIND OR MUSTER_SANITIZE OR MUSTER_FUZZ)
    return()
  endif()
  muster_script_test(valgrind.${program} COMMAND tests/e2e/valgrind.sh $<TARGET_FILE:${program}>
                     PROCESSORS 2 TIMEOUT 240 LABELS valgrind)
endfunction()

# muster_fuzz_test(<name> [LIBRARIES <target>...] SEEDS <folder>...)
# tests/fuzz/fuzz_<name>.c, with LLVMFuzzerTestOneInput. With MUSTER_FUZZ it is fuzzed for MUSTER_FUZZ_SECONDS (label
# fuzz); else the seeds are run through it once.
function(muster_fuzz_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBRARIES;SEEDS")
  muster_suite_exists(fuzz/fuzz_${name}.c exists)
  if(NOT exists)
    return()
  endif()
  list(TRANSFORM arg_SEEDS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  if(MUSTER_FUZZ)
    muster_test_program(fuzz_${name} fuzz/fuzz_${name}.c)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    set(corpus ${PROJECT_BINARY_DIR}/corpus/${name})
    file(MAKE_DIRECTORY ${corpus})
    add_test(NAME fuzz.${name}
             COMMAND fuzz_${name} -max_total_time=${MUSTER_FUZZ_SECONDS} -timeout=10 -print_final_stats=1
                     -artifact_prefix=${PROJECT_BINARY_DIR}/ ${corpus} ${arg_SEEDS})
    math(EXPR seconds "${MUSTER_FUZZ_SECONDS} + 60")
    muster_test_properties(fuzz.${name} ${seconds} 1 fuzz)
  else()
    muster_test_program(fuzz_${name} fuzz/fuzz_${name}.c support/fuzz_replay.c)
    add_test(NAME fuzz_replay.${name} COMMAND fuzz_${name} ${arg_SEEDS})
    muster_test_properties(fuzz_replay.${name} 60 1 unit sanitize)
  endif()
  target_link_libraries(fuzz_${name} PRIVATE ${arg_LIBRARIES})
endfunction()
