ap_unit_test(workload ap_workloads)
ap_unit_test(ssim ap_workload)
ap_unit_test(wer ap_workload)
ap_unit_test(bleu ap_workload)
ap_unit_test(average_precision ap_workload)
ap_unit_test(published_shapes ap_workloads)
# The workloads' own parts.
foreach(part
    mnist_model mnist_data
    cifar_data
    imagenet_data photo
    fastmri_data fastmri_prepare
    speech_features speech_data speech_models speech_prepare
    ogbg_model ogbg_data
    bpe finewebedu_lm_prepare
    wmt wmt_prepare
    criteo1tb_prepare)
  ap_unit_test(${part} ap_workloads)
  target_include_directories(test_${part} PRIVATE ${PROJECT_SOURCE_DIR})
endforeach()
if(JPEG_FOUND) # it encodes its own images
  target_compile_definitions(test_photo PRIVATE AP_HAVE_JPEG)
  target_link_libraries(test_photo PRIVATE PkgConfig::JPEG)
endif()
target_link_libraries(test_criteo1tb_prepare PRIVATE ZLIB::ZLIB)
if(FLAC_FOUND) # it encodes its own sound
  target_compile_definitions(test_speech_prepare PRIVATE AP_HAVE_FLAC)
  target_link_libraries(test_speech_prepare PRIVATE PkgConfig::FLAC)
endif()
