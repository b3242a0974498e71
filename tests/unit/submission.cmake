# Plugins as a user would build them: the worked example, and bad_plugin.c once for each thing that can be wrong.
function(ap_test_plugin name source)
  add_library(plugin_${name} MODULE ${source})
  target_include_directories(plugin_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(plugin_${name} PRIVATE -Wall -Wextra -ffp-contract=off)
  set_target_properties(plugin_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/plugins)
  add_dependencies(test_loader plugin_${name})
endfunction()

ap_unit_test(loader ap_submission ap_algorithms ap_tuning)
target_compile_definitions(test_loader PRIVATE AP_TEST_PLUGINS="${CMAKE_CURRENT_BINARY_DIR}/plugins"
  AP_TEST_EXAMPLE="${PROJECT_SOURCE_DIR}/jobs/my_optimizer")
ap_test_plugin(my_optimizer ${PROJECT_SOURCE_DIR}/jobs/my_optimizer/my_optimizer.c)
foreach(case WRONG_ABI OLD_SIZE NEW_SIZE NO_ENTRY NULL_TABLE NO_INIT NO_UPDATE NO_NAME NO_SUMMARY NO_SOURCE SLASH_NAME
        DOT_NAME LONG_NAME BUILTIN_NAME UNRESOLVED SPARE_NAME)
  ap_test_plugin(${case} bad_plugin.c)
  target_compile_definitions(plugin_${case} PRIVATE ${case})
endforeach()
