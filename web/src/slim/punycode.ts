/** Stands in for `punycode.js` in the build: browsers write host names in ASCII by themselves. */
const same = (host: string): string => host;

export default { toASCII: same, toUnicode: same };
