ap_unit_test(search_space ap_tuning)
