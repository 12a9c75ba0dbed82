# SPDX-License-Identifier: BSD-3-Clause
# muster_install_program(<target> <what it is, in a line>): the program, its man page, made of what --help says, and
# completion of its options in bash.
find_program(HELP2MAN help2man)

function(muster_install_program target description)
  install(TARGETS ${target})
  get_target_property(name ${target} OUTPUT_NAME)
  if(NOT name)
    set(name ${target})
  endif()
  if(HELP2MAN AND NOT MUSTER_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    set(page ${PROJECT_BINARY_DIR}/man/${name}.1)
    add_custom_command(
      OUTPUT ${page}
      DEPENDS ${target}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
      COMMAND ${HELP2MAN} --no-info --section=1 --name=${description} --output=${page} $<TARGET_FILE:${target}>
      VERBATIM)
    add_custom_target(man_${target} ALL DEPENDS ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/completions/${name} CONTENT "complete -F _longopt ${name}\n")
  install(FILES ${PROJECT_BINARY_DIR}/completions/${name} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endfunction()
