/* Between the files of base/lua. */
#ifndef MW_BASE_LUA_INTERNAL_H
#define MW_BASE_LUA_INTERNAL_H

#include "base/lua.h"

/* Puts find, match, gmatch and gsub of ours into the table on the top. */
void mw_lua_open_patterns(lua_State *L);

/* Keys of the registry. */
extern const char mw_lua_key_library, mw_lua_key_array;

#endif
