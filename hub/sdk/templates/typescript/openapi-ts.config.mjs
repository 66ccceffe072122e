export default {
  input: "./contract/openapi.json",
  output: { path: "src/zod" },
  plugins: [{ name: "zod", dates: { offset: true } }],
  logs: { level: "silent", file: false },
  interactive: false,
};
