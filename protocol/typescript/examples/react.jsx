import { AssistantRuntimeProvider, ComposerPrimitive, MessagePrimitive, ThreadPrimitive, useExternalStoreRuntime } from "@assistant-ui/react";
import { useMemo, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { connect, webStorage } from "skein-client";

/** The view of a chat. The component is drawn again for each new view. */
export function useChat(chat) {
  return useSyncExternalStore(chat.watch, () => chat.view);
}

const text = (item) => item.text ?? item.content.map((part) => part.text ?? "").join("");
const roles = { userMessage: "user", agentMessage: "assistant" };
const message = (item) => ({ id: item.id, role: roles[item.type], content: [{ type: "text", text: text(item) }] });

/** The chat as the store of assistant-ui. */
export function useSkeinRuntime(chat) {
  const view = useChat(chat);
  const items = useMemo(() => view.turns.flatMap((turn) => turn.items).filter((item) => roles[item.type]), [view.turns]);
  return useExternalStoreRuntime({
    messages: items,
    convertMessage: message,
    isRunning: view.status.type === "active",
    onNew: async ({ content }) => void (await chat.send(content[0].text)),
    onCancel: () => chat.interrupt(),
  });
}

const Message = () => <p><MessagePrimitive.Parts /></p>;
function App({ chat }) {
  return (
    <AssistantRuntimeProvider runtime={useSkeinRuntime(chat)}>
      <div role="log"><ThreadPrimitive.Messages components={{ Message }} /></div>
      <ComposerPrimitive.Root><ComposerPrimitive.Input aria-label="Message" /><ComposerPrimitive.Send>Send</ComposerPrimitive.Send></ComposerPrimitive.Root>
      <p role="status">{useChat(chat).link.state}</p>
    </AssistantRuntimeProvider>
  );
}

const skein = connect({ url: "ws://127.0.0.1:4500", token: localStorage.session, storage: webStorage(localStorage) });
createRoot(document.getElementById("root")).render(<App chat={skein.thread()} />);
