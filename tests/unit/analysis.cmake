ap_unit_test(score ap_analysis)
ap_unit_test(score_results ap_analysis)
# The published logs are not part of this repository; where they lie beside it, every golden table is compared.
ap_unit_test(score_published ap_analysis)
target_compile_definitions(test_score_published PRIVATE AP_LEADERBOARD="${PROJECT_SOURCE_DIR}/../shared/leaderboard")
ap_unit_test(compare ap_analysis)
ap_unit_test(bootstrap ap_analysis)
ap_unit_test(score_properties ap_analysis)
ap_unit_test(leaderboard ap_analysis)
