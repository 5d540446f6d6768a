/** A stylesheet as a text, as Vite puts it into the script. */
declare module "*.css?inline" {
  const text: string;
  export default text;
}
