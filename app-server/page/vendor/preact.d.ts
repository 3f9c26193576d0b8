// The part of htm/preact that the page uses.
export type Node = any;
export const html: (strings: TemplateStringsArray, ...values: any[]) => Node;
export function render(node: Node, parent: Element): void;
export class Component {
  constructor(props?: any);
  props: any;
  state: any;
  base?: Element;
  setState(change: any): void;
  componentDidMount?(): void;
  componentWillUnmount?(): void;
  componentDidCatch?(error: unknown): void;
  shouldComponentUpdate?(next: any, state: any): boolean;
  render(props: any, state: any): Node;
}
export function useState<S>(first: S | (() => S)): [S, (next: S | ((last: S) => S)) => void];
export function useEffect(run: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useLayoutEffect(run: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useMemo<T>(make: () => T, inputs?: readonly unknown[]): T;
export function useRef<T>(first: T): { current: T };
