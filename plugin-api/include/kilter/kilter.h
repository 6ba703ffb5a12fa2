/* SPDX-License-Identifier: Apache-2.0 */
/* kilter.h: everything that a plugin's author needs. */
#ifndef KILTER_KILTER_H
#define KILTER_KILTER_H

#include <kilter/fs.h>
#include <kilter/plugin.h>
#include <kilter/renderer.h>
#include <kilter/resource.h>
#include <kilter/target.h>
#include <kilter/yaml.h>

#endif
