/** Stands in for `uc.micro` in the build: the engine's own Unicode tables. */
export const P = /\p{P}/u;
export const S = /\p{S}/u;
