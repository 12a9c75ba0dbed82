/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * farm show: what a journal holds, which is the output of all commands in one file.
 */
#ifndef FARM_SHOW_H
#define FARM_SHOW_H

/** words: [--list | --stderr | --failed] JOURNAL [TEXT]: of commands that contain the text. The exit code. */
int show_journal(int n, char **words);

#endif
