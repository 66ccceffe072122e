// The build directory is the only root: nothing above it is looked at.
export default { outputFileTracingRoot: import.meta.dirname, turbopack: { root: import.meta.dirname } };
