/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

Suite *suite_migrate(void)
{
    return suite_create("store: migrations");
}
