import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";

interface RoundButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** Its name, which a pointer that rests on it shows too. */
  label: string;
  buttonRef?: Ref<HTMLButtonElement>;
}

/** A button that is a drawing. */
export function RoundButton({ label, buttonRef, className, ...others }: RoundButtonProps): ReactNode {
  return (
    <button
      ref={buttonRef}
      type="button"
      className={className === undefined ? "tidings-round" : `tidings-round ${className}`}
      aria-label={label}
      title={label}
      {...others}
    />
  );
}
