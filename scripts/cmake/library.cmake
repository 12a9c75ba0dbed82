# SPDX-License-Identifier: BSD-3-Clause
# The shared and the static library from the layers' objects, and what is installed with them.
add_library(muster_shared SHARED ${objects})

# In an archive hidden names would still be seen by, and clash with, the program's own: so it holds one object, in which
# they are local.
set(single ${PROJECT_BINARY_DIR}/muster.o)
add_custom_command(OUTPUT ${single} DEPENDS ${objects} VERBATIM COMMAND_EXPAND_LISTS
                   COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${single} ${objects}
                   COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${single})
add_library(muster_static STATIC ${single})
add_dependencies(muster_static ${object_targets})
foreach(layer IN LISTS layers)
  add_dependencies(muster_static muster_${layer}) # whose objects exist before the command runs
endforeach()
add_library(muster::muster ALIAS muster_shared)
add_library(muster::static ALIAS muster_static)
# before 1.0 a minor version may break binaries
set(so_version ${PROJECT_VERSION_MAJOR})
if(so_version EQUAL 0)
  set(so_version 0.${PROJECT_VERSION_MINOR})
endif()
set_target_properties(muster_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${so_version} EXPORT_NAME muster)
set_target_properties(muster_static PROPERTIES EXPORT_NAME static)
foreach(library IN ITEMS muster_shared muster_static)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME muster LINKER_LANGUAGE C)
  target_include_directories(${library} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${library} PRIVATE MPI::MPI_C PkgConfig::HWLOC PkgConfig::SQLITE Threads::Threads)
  # user programs need a build id as well
  target_link_options(${library} INTERFACE LINKER:--build-id)
endforeach()
set(versions ${PROJECT_SOURCE_DIR}/scripts/cmake/muster.map)
target_link_options(muster_shared PRIVATE LINKER:--version-script=${versions})
set_target_properties(muster_shared PROPERTIES LINK_DEPENDS ${versions})
if(NOT sanitizers)
  target_link_options(muster_shared PRIVATE LINKER:--no-undefined)
endif()

# installed programs find the library beside them
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/muster)
configure_package_config_file(scripts/cmake/musterConfig.cmake.in ${PROJECT_BINARY_DIR}/musterConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/musterConfigVersion.cmake COMPATIBILITY SameMinorVersion)

# relative to the .pc file, so that `cmake --install --prefix` and a moved tree are right
file(RELATIVE_PATH pc_prefix /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
list(JOIN MPI_C_LIBRARIES " " pc_mpi)
list(JOIN HWLOC_LDFLAGS " " pc_hwloc)
list(JOIN SQLITE_LDFLAGS " " pc_sqlite)
configure_file(scripts/cmake/muster.pc.in ${PROJECT_BINARY_DIR}/muster.pc @ONLY)

install(DIRECTORY include/muster DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS muster_shared EXPORT musterTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS muster_static EXPORT musterStaticTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT musterTargets NAMESPACE muster:: DESTINATION ${package_dir})
install(EXPORT musterStaticTargets NAMESPACE muster:: DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/musterConfig.cmake ${PROJECT_BINARY_DIR}/musterConfigVersion.cmake
        DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/muster.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# the guide's programs, with what builds them against what is installed
file(GLOB examples CONFIGURE_DEPENDS apps/guide/*.c apps/guide/*.h apps/guide/install/*)
install(FILES ${examples} DESTINATION ${CMAKE_INSTALL_DATADIR}/muster/examples)

# what Open MPI keeps until the end, for who looks for leaks of his own; and the pages
install(FILES tests/support/lsan.supp tests/support/valgrind.supp DESTINATION ${CMAKE_INSTALL_DATADIR}/muster)
install(DIRECTORY src/doc/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.png")
