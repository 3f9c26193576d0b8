export * from "../../../protocol/typescript/src/index.ts";
