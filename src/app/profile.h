/* profile.h - provider profiles: what a provider or a kind of node allows, so that nobody has to
 * look it up. Those of configs/profiles are compiled in by scripts/embed-profiles. Used by
 * config_profile.c and by the command, which lists them. */
#ifndef RF_APP_PROFILE_H
#define RF_APP_PROFILE_H

#include "app/config.h"

/** A profile that is compiled in. */
struct rf_profile {
    const char *name;
    const char *about; /* one line: whose limits, of which plan */
    const char *yaml;  /* a mapping of endpoint keys; comments are taken out, lines stay in place */
};

/** All of them, in the order of their files' names. Static. */
extern const struct rf_profile rf_profiles[];
extern const size_t rf_profiles_n;

/**
 * Load a profile for an endpoint that no configuration describes.
 * @param name  of `profiles/NAME.yaml` in the current directory, or else of one compiled in.
 * @param out   owned: rf_config_free() it; its options hold no network.
 * @param ep    the defaults with the profile on top; borrowed from `out`.
 * @param err   detail on failure; may be NULL.
 * @return 0, RPCFAN_EINVAL (no such profile), RPCFAN_ECONFIG, RPCFAN_EIO or RPCFAN_ENOMEM.
 * Thread: any, while no other thread changes the environment. Blocks on the file.
 */
enum rpcfan_err rf_profile_load(const char *name, struct rf_config **out,
                                const struct rpcfan_endpoint_options **ep,
                                struct rpcfan_error *err);

#endif
