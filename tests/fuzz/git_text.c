/* SPDX-License-Identifier: Apache-2.0 */
/* Version ranges and repository URLs, as users write them: whatever is accepted keeps its promises. */
#include <stdint.h>
#include <stdlib.h>

#include "git/semver.h"
#include "git/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static void try_url(struct kilter_str text)
{
    struct kl_git_url url;
    struct kilter_error err = KILTER_ERROR_INIT;
    char masked[64];

    require(is_one_line(kl_git_url_mask(text, masked, sizeof(masked))));
    if (kl_git_url_parse(text, &url, &err) < 0) {
        require(err.message[0] != '\0');
        return;
    }
    require(is_one_line(url.user) && is_one_line(url.host) && is_one_line(url.path));
    require(url.user[0] != '-' && url.host[0] != '-' && url.path[0] != '-' && url.path[0] != '\0');
    require((url.scheme == KL_GIT_FILE) == (url.host[0] == '\0'));
}

static void try_range(struct kilter_str text)
{
    static const char *const words[] = { "0.0.0", "1.4.2", "2.0.0-rc.1", "99.99.99" };
    struct kl_semver_range range;
    struct kl_semver version;
    const char *why = NULL;
    size_t at = 0;

    if (kl_semver_range_parse(text, &range, &why, &at) < 0) {
        require(why && at <= text.len);
    } else {
        require(range.count > 0 && range.count <= KL_SEMVER_MAX_TERMS && range.alternatives > 0);
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            if (kl_semver_parse(kilter_str_c(words[i]), &version) == 0)
                kl_semver_matches(&range, &version);
    }
    if (kl_semver_parse(text, &version) == 0)
        require(kl_semver_compare(&version, &version) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kilter_str text = kilter_str_n((const char *)data, size);

    try_url(text);
    try_range(text);
    return 0;
}
