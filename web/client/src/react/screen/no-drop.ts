/** A file that is dropped beside where it belongs would take the place of the page, and what is written there with it. */
import { useEffect, type RefObject } from "react";

export function useNoDrop(root: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const { current: element } = root;
    if (!element) return;
    const refuse = (event: DragEvent): void => {
      // A host that takes it has said so; texts are the field's.
      if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    };
    element.addEventListener("dragover", refuse);
    element.addEventListener("drop", refuse);
    return () => {
      element.removeEventListener("dragover", refuse);
      element.removeEventListener("drop", refuse);
    };
  }, [root]);
}
